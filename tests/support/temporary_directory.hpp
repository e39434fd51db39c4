#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace nodemirror {

/// A directory that goes with the test.
class TemporaryDirectory {
  public:
    TemporaryDirectory() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "nodemirror.XXXXXX").string();
        path_ = ::mkdtemp(pattern.data());
    }
    ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

    std::string operator/(const std::string& name) const { return path_ + "/" + name; }
    /// Writes a file, with the directories on its way; gives its path.
    std::string write(const std::string& name, const std::string& text) const {
        std::filesystem::create_directories(std::filesystem::path(*this / name).parent_path());
        std::ofstream(*this / name, std::ios::binary) << text;
        return *this / name;
    }
    /// The content, or "<absent>".
    std::string read(const std::string& name) const {
        std::ifstream in(*this / name, std::ios::binary);
        if (!in) return "<absent>";
        return std::string(std::istreambuf_iterator<char>(in), {});
    }
    bool exists(const std::string& name) const {
        return std::filesystem::exists(std::filesystem::symlink_status(*this / name));
    }

  private:
    std::string path_;
};

}  // namespace nodemirror
