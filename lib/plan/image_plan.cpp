#include "plan/image_plan.hpp"

#include "reference/image_reference.hpp"

#include <algorithm>
#include <set>

namespace nodemirror {

std::string sandboxImageOf(const ObservedNode& node) {
    std::string text;
    if (node.cri.isKnown() && node.cri.value().live.isKnown())
        text = node.cri.value().live.value().sandboxImage;
    else if (node.config.isKnown())
        text = node.config.value().sandboxImage;
    if (text.empty()) return "";
    const auto reference = parseImageReference(text);
    return reference ? reference->text() : "";
}

std::vector<RequiredImage> requiredImages(const Desired& desired, const std::string& sandboxImage) {
    std::vector<RequiredImage> out;
    const Pause pause = desired.pause.value_or(Pause());
    std::set<std::string> known;
    const auto add = [&](const std::string& name, bool isPause) {
        if (name.empty() || !known.insert(name).second) return;
        RequiredImage image;
        image.name = name;
        image.pause = isPause;
        image.sandbox = isPause && (sandboxImage.empty() || name == sandboxImage);
        image.pin = isPause && pause.pin;
        if (isPause)
            for (const auto& source : pause.sources)
                if (source != name) image.sources.push_back(source);
        out.push_back(std::move(image));
    };
    add(sandboxImage, true);
    for (const auto& alias : pause.aliases) add(alias, true);
    for (const auto& image : desired.images) add(image, false);
    return out;
}

ImagePlan planImages(const std::vector<RequiredImage>& required, const ObservedNode& node) {
    ImagePlan plan;
    for (const auto& image : required) {
        const auto found = node.images.find(image.name);
        if (found == node.images.end() || !found->second.isKnown()) continue;
        const ObservedImage& seen = found->second.value();
        if (!seen.resolves) {
            EnsureImage ensure;
            ensure.image = image;
            ensure.reason = image.pause ? "the pause image is not on the node under this name"
                                        : "the image is not on the node";
            plan.missing.push_back(std::move(ensure));
        } else if (image.pin && seen.hasRecord && !seen.pinLabel) {
            PinImage pin;
            pin.name = image.name;
            pin.reason = "the pause image is not pinned, so that kubelet could remove it";
            plan.pins.push_back(std::move(pin));
        }
    }
    return plan;
}

}  // namespace nodemirror
