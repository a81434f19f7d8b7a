#include "nft/parts.hpp"

#include <algorithm>
#include <array>
#include <iterator>

namespace portmapper::nft {
namespace {

const Elements* elements_of(const Operation& operation) {
  return std::get_if<Elements>(&operation);
}

bool is_of(const Operation& operation, ElementVerb verb, const std::string& set) {
  const Elements* const elements = elements_of(operation);
  return elements != nullptr && elements->verb == verb && elements->set.name == set;
}

bool creates(const Operation& operation) {
  const Elements* const elements = elements_of(operation);
  return elements != nullptr && elements->verb == ElementVerb::create;
}

// What an owner is known by, and behind what: without its user nobody finds the device that it opened,
// and without its entries nobody finds its user.
constexpr std::array kEndings = {kLocalnetDevices, kLocalnetUsers, kLoopbackRoutes, kLoopbackUsers,
                                 kOwners};

bool ends_ownership(const Operation& operation) {
  return std::any_of(kEndings.begin(), kEndings.end(), [&operation](const char* set) {
    return is_of(operation, ElementVerb::remove, set);
  });
}

bool begins_use(const Operation& operation) {
  return is_of(operation, ElementVerb::add, kLocalnetUsers) ||
         is_of(operation, ElementVerb::add, kLoopbackUsers);
}

bool begins_ownership(const Operation& operation) {
  return is_of(operation, ElementVerb::create, kOwners);
}

std::size_t weight_of(const Operation& operation) {
  const Elements* const elements = elements_of(operation);
  return elements == nullptr ? 0 : elements->elements.size();
}

// The first `count` elements, and those behind them.
std::pair<Elements, Elements> parted(const Elements& all, std::size_t count) {
  const auto middle = all.elements.begin() + static_cast<std::ptrdiff_t>(count);
  return {{all.verb, all.set, all.userdata, {all.elements.begin(), middle}},
          {all.verb, all.set, all.userdata, {middle, all.elements.end()}}};
}

}  // namespace

Transaction in_order_for_parts(Transaction transaction) {
  std::vector<Operation>& all = transaction.operations;
  // The first entries tell how many there are, so the last ones go first.
  for (Operation& operation : all)
    if (is_of(operation, ElementVerb::remove, kOwners))
      std::reverse(std::get<Elements>(operation).elements.begin(),
                   std::get<Elements>(operation).elements.end());
  // The same entries may end and begin: an ADD that replaces what its attachment had.
  const auto created = std::find_if(all.begin(), all.end(), creates);
  const auto ending = std::stable_partition(
      all.begin(), created, [](const Operation& one) { return !ends_ownership(one); });
  auto next = ending;
  for (const char* set : kEndings)
    next = std::stable_partition(next, created, [set](const Operation& one) {
      return is_of(one, ElementVerb::remove, set);
    });
  const bool begins = std::any_of(created, all.end(), begins_ownership);
  if (begins)
    std::stable_partition(std::stable_partition(created, all.end(), begins_use), all.end(),
                          begins_ownership);
  else
    std::rotate(ending, created, all.end());
  return transaction;
}

std::optional<std::pair<Transaction, Transaction>> halves(const Transaction& transaction) {
  std::size_t left = 0;
  for (const Operation& operation : transaction.operations) left += weight_of(operation);
  if (left < 2) return std::nullopt;
  left /= 2;
  std::pair<Transaction, Transaction> two;
  bool is_first = true;
  for (const Operation& operation : transaction.operations) {
    const std::size_t weight = weight_of(operation);
    if (is_first && weight > left) {
      auto [before, behind] = parted(std::get<Elements>(operation), left);
      if (left > 0) two.first.operations.emplace_back(std::move(before));
      two.second.operations.emplace_back(std::move(behind));
      is_first = false;
      continue;
    }
    (is_first ? two.first : two.second).operations.push_back(operation);
    left -= is_first ? weight : 0;
  }
  return two;
}

}  // namespace portmapper::nft
