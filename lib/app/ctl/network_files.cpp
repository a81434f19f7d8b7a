#include "lib/app/ctl/network_files.hpp"

#include <algorithm>
#include <filesystem>

namespace portmapper::ctl {

Result<std::vector<std::string>> network_files(const std::string& directory) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string extension = entry->path().extension().string();
    if (extension == ".conf" || extension == ".conflist" || extension == ".json")
      names.push_back(entry->path().string());
  }
  if (error) return unreadable_input("cannot read", directory, error.value());
  // What libcni does not read: directories of such a name, and what never ends, such as a FIFO. A link that leads
  // nowhere is an error there too.
  std::erase_if(names, [](const std::string& name) {
    std::error_code unknown;
    const fs::file_type type = fs::status(name, unknown).type();
    return type != fs::file_type::regular && type != fs::file_type::not_found;
  });
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace portmapper::ctl
