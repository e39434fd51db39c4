#include "reconcile/registry_intents.hpp"

#include "base/digest.hpp"
#include "hosts_toml/directories.hpp"

#include <algorithm>

namespace nodemirror {

namespace {

void intendStandIn(const RegistryIntents::Variant& variant, IntendedHosts& intended) {
    intended.rendered = *variant.standIn;
    intended.why = variant.standInReason;
    if (!variant.standInOrder) return;
    auto rendered = renderHosts(variant.standInOrder->registry);
    if (!rendered) return;  // a text of before that not every containerd reads alike
    intended.rendered = std::move(*rendered);
    intended.why += "; " + variant.standInOrder->reason;
}

}  // namespace

void RegistryIntents::setDesired(std::shared_ptr<const Desired> desired) {
    desired_ = std::move(desired);
    intended_.clear();
    problems_.clear();
    variants_.clear();
    for (const auto& registry : desired_->registries) intend(registry);
}

void RegistryIntents::intend(const Registry& registry) {
    IntendedHosts intended;
    intended.registry = registry.name;
    intended.directory = ownDirectoryName(registry.name);
    const std::string directory = intended.directory;
    const Variant* variant = this->variant(registry.name);
    problems_.erase(directory);
    if (variant != nullptr && variant->standIn) {
        intendStandIn(*variant, intended);
    } else {
        auto rendered = renderHosts(orderedOf(registry));
        if (!rendered) {
            intended_.erase(directory);
            problems_[directory] = rendered.error().text();
            return;
        }
        intended.rendered = std::move(*rendered);
        if (variant != nullptr && variant->order) intended.why = variant->order->reason;
    }
    intended.sha256 = sha256Hex(intended.rendered.text);
    intended_[directory] = std::move(intended);
}

namespace {

bool sameOrder(const Registry& a, const Registry& b) {
    const auto equal = [](const Mirror& one, const Mirror& other) {
        return one.url == other.url && one.repositoryPrefix == other.repositoryPrefix;
    };
    return a.fallback == b.fallback && std::equal(a.mirrors.begin(), a.mirrors.end(),
                                                  b.mirrors.begin(), b.mirrors.end(), equal);
}

/// Whether `ordered` says nothing but what `order` has already.
bool isInOrder(const std::optional<OrderedRegistry>& order, const OrderedRegistry& ordered) {
    if (!order) return ordered.reason.empty();
    return order->reason == ordered.reason && sameOrder(order->registry, ordered.registry);
}

}  // namespace

std::string RegistryIntents::setOrder(const std::string& name, OrderedRegistry ordered) {
    const std::string directory = ownDirectoryName(name);
    // Thousands of registries are as declared: nothing is looked up for them.
    if (ordered.reason.empty() && !variants_.count(name)) return directory;
    const Registry* registry = desired_ ? desired_->find(name) : nullptr;
    if (registry == nullptr) return directory;
    Variant& variant = variants_[name];
    const bool had = variant.order.has_value();
    if (isInOrder(variant.order, ordered)) return directory;
    if (ordered.reason.empty())
        variant.order.reset();
    else
        variant.order = std::move(ordered);
    intend(*registry);
    const auto intended = intended_.find(directory);
    if (had && !variant.order && intended != intended_.end() && !variant.standIn)
        intended->second.why = "the mirrors are up: the declared order is back";
    return directory;
}

std::string RegistryIntents::setStandIn(const std::string& name,
                                        std::optional<RenderedHosts> standIn,
                                        const std::string& why) {
    const std::string directory = ownDirectoryName(name);
    const Registry* registry = desired_ ? desired_->find(name) : nullptr;
    if (registry == nullptr) return directory;
    Variant& variant = variants_[name];
    variant.standIn = std::move(standIn);
    variant.standInReason = why;
    variant.standInOrder.reset();
    intend(*registry);
    return directory;
}

std::string RegistryIntents::setStandInOrder(const std::string& name, OrderedRegistry ordered) {
    const std::string directory = ownDirectoryName(name);
    const auto found = variants_.find(name);
    if (found == variants_.end() || !found->second.standIn) return directory;
    Variant& variant = found->second;
    if (isInOrder(variant.standInOrder, ordered)) return directory;
    const Registry* registry = desired_->find(name);
    if (registry == nullptr) return directory;
    if (ordered.reason.empty())
        variant.standInOrder.reset();
    else
        variant.standInOrder = std::move(ordered);
    intend(*registry);
    return directory;
}

std::optional<std::string> RegistryIntents::standInText(const std::string& name) const {
    const Variant* variant = this->variant(name);
    if (variant == nullptr || !variant->standIn) return std::nullopt;
    IntendedHosts intended;
    intendStandIn(*variant, intended);
    return std::move(intended.rendered.text);
}

std::optional<std::string> RegistryIntents::asOrdered(const std::string& name) const {
    const Registry* registry = desired_ ? desired_->find(name) : nullptr;
    if (registry == nullptr) return std::nullopt;
    auto rendered = renderHosts(orderedOf(*registry));
    return rendered ? std::optional(std::move(rendered->text)) : std::nullopt;
}

/// With its mirrors in the order that health gives them.
const Registry& RegistryIntents::orderedOf(const Registry& registry) const {
    const Variant* variant = this->variant(registry.name);
    return variant != nullptr && variant->order ? variant->order->registry : registry;
}

const IntendedHosts* RegistryIntents::find(const std::string& directory) const {
    const auto found = intended_.find(directory);
    return found == intended_.end() ? nullptr : &found->second;
}

const std::string* RegistryIntents::problem(const std::string& directory) const {
    const auto found = problems_.find(directory);
    return found == problems_.end() ? nullptr : &found->second;
}

bool RegistryIntents::declares(const std::string& directory) const {
    return intended_.count(directory) > 0 || problems_.count(directory) > 0;
}

const RegistryIntents::Variant* RegistryIntents::variant(const std::string& registry) const {
    const auto found = variants_.find(registry);
    return found == variants_.end() ? nullptr : &found->second;
}

}  // namespace nodemirror
