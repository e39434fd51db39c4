#pragma once

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

namespace nodemirror::fuzz {

/// What is to hold for any input. A violation ends the process, as a sanitizer's finding does.
inline void expect(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}

/// One target for each thing that reads what people, registries or clusters wrote.
void desiredState(std::string_view input);
void hostsToml(std::string_view input);
void configEditor(std::string_view input);
void imageReference(std::string_view input);
void httpOnSocket(std::string_view input);
void registryAnswers(std::string_view input);
void kubectlJson(std::string_view input);
void importedFiles(std::string_view input);

/// By the name of the directory with their seeds.
inline const std::map<std::string, void (*)(std::string_view)> kTargets{
    {"desired", desiredState},     {"hosts", hostsToml},      {"config", configEditor},
    {"reference", imageReference}, {"http", httpOnSocket},    {"registry", registryAnswers},
    {"kubectl", kubectlJson},      {"import", importedFiles},
};

}  // namespace nodemirror::fuzz
