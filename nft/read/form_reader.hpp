// read_form: what a rule of the kernel does, with the elements of the sets in its braces.
//
//   RuleForm form;
//   const Status read = read_form(transport, kTable, nested(parent, NFTA_RULE_EXPRESSIONS), form);
//
// One dump for each such set. The form is empty where the rule is none of ours (nft/rule_form). Errors:
// as Query. Source: kernel nf_tables_api.c.
#pragma once

#include "lib/base/attributes.hpp"
#include "lib/base/netlink.hpp"
#include "nft/rule_form.hpp"

namespace portmapper::nft {

Status read_form(Transport& transport, const char* table, Bytes expressions, RuleForm& form);

}  // namespace portmapper::nft
