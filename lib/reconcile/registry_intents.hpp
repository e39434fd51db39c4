#pragma once

#include "desired/desired.hpp"
#include "health/chain_order.hpp"
#include "plan/registry_plan.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>

namespace nodemirror {

/// What each declared registry's hosts.toml is to be: the declared chain, the same chain in another
/// order, or a text that stands in for it. The setters give the registry's directory, which is to
/// be reconciled after them.
class RegistryIntents {
  public:
    /// What is in the declared chain's place.
    struct Variant {
        std::optional<OrderedRegistry> order;
        std::optional<RenderedHosts> standIn;  ///< goes before an order
        std::string standInReason;
        std::optional<OrderedRegistry> standInOrder;  ///< the stand-in's chain in another order
    };

    /// Ends every order and stand-in of the desired state before it.
    void setDesired(std::shared_ptr<const Desired> desired);
    /// A registry's chain in another order than the declared one, and why; an empty reason brings
    /// the declared order back.
    std::string setOrder(const std::string& registry, OrderedRegistry ordered);
    /// A text that stands in place of the declared chain (the last known good one), and why;
    /// nothing brings the declared one back.
    std::string setStandIn(const std::string& registry, std::optional<RenderedHosts> standIn,
                           const std::string& why);

    /// Null until there is one.
    const Desired* desired() const { return desired_.get(); }
    /// Null where the directory's registry is not declared, or cannot be rendered.
    const IntendedHosts* find(const std::string& directory) const;
    /// The stand-in's chain in another order than its text has, and why; an empty reason brings the
    /// text itself back. Nothing is done where nothing stands in.
    std::string setStandInOrder(const std::string& registry, OrderedRegistry ordered);
    /// The text of the declared chain in its present order, whatever stands in for it.
    std::optional<std::string> asOrdered(const std::string& registry) const;
    /// The text that stands in, in its present order; nothing where none does.
    std::optional<std::string> standInText(const std::string& registry) const;
    /// Why a declared registry's file cannot be rendered; null where it can.
    const std::string* problem(const std::string& directory) const;
    bool declares(const std::string& directory) const;
    /// Null where the registry's chain is the declared one.
    const Variant* variant(const std::string& registry) const;
    /// By directory: those that can be rendered, and why the others cannot.
    const std::map<std::string, IntendedHosts>& all() const { return intended_; }
    const std::map<std::string, std::string>& problems() const { return problems_; }

  private:
    void intend(const Registry& registry);
    const Registry& orderedOf(const Registry& registry) const;

    std::shared_ptr<const Desired> desired_;
    std::map<std::string, IntendedHosts> intended_;  ///< by directory
    std::map<std::string, std::string> problems_;    ///< by directory
    std::map<std::string, Variant> variants_;        ///< by registry
};

}  // namespace nodemirror
