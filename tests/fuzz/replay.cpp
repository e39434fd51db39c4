/// Runs every seed, and every input that once broke something, through its target.
#include "targets.hpp"

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

int main(int argc, char** argv) {
    nodemirror::fuzz::expect(argc == 2, "the directory of the seeds is given");
    for (const auto& [name, target] : nodemirror::fuzz::kTargets) {
        size_t count = 0;
        for (const auto& file :
             std::filesystem::directory_iterator(std::filesystem::path(argv[1]) / name)) {
            std::cout << file.path().string() << std::endl;  // what runs when it ends the process
            std::ifstream in(file.path(), std::ios::binary);
            target(std::string(std::istreambuf_iterator<char>(in), {}));
            ++count;
        }
        nodemirror::fuzz::expect(count > 0, "every target has seeds");
    }
}
