#include "reference/image_reference.hpp"

#include "targets.hpp"

namespace nodemirror::fuzz {

/// What is taken is normal: read again it is the same.
void imageReference(std::string_view input) {
    const auto reference = parseImageReference(input);
    if (!reference) {
        expect(!reference.error().text().empty(), "a refusal has a reason");
        return;
    }
    const std::string text = reference->text();
    for (const char c : text) expect(c > ' ' && c < 0x7f, "only visible ASCII is taken");
    expect(!reference->host.empty() && !reference->repository.empty(), "host and repository");
    expect(reference->tag.empty() != reference->digest.empty(), "a tag or a digest");
    const auto again = parseImageReference(text);
    expect(again && again->text() == text && again->host == reference->host, "it is normal");
}

}  // namespace nodemirror::fuzz
