#include "tests/support/files.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>

namespace portmapper::test {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path.string() + ": cannot be read");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

ScratchDirectory::ScratchDirectory() {
  std::string name = "/tmp/npm-test-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error(name + ": " + std::strerror(errno));
  path_ = name;
  fs::permissions(path_, fs::perms(0755));
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void ScratchDirectory::script(const std::string& name, const std::string& commands) const {
  {
    std::ofstream file(path_ / name, std::ios::binary);
    file << "#!/bin/sh\n" << commands << "\n";
    if (!file.flush()) throw std::runtime_error(path(name) + ": cannot be written");
  }
  fs::permissions(path_ / name, fs::perms(0755));
}

}  // namespace portmapper::test
