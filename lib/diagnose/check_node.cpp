#include "base/text.hpp"
#include "diagnose/checks.hpp"
#include "plan/image_plan.hpp"
#include "reference/image_reference.hpp"

#include <algorithm>

namespace nodemirror::checks {

namespace {

using Severity = Finding::Severity;

/// The image behind --pod-infra-container-image, as kubeadm lays it down; "" when there is none.
std::string kubeadmPause(const NodeFacts& facts) {
    if (!facts.kubeadmFlags.isKnown()) return "";
    static constexpr std::string_view kFlag = "--pod-infra-container-image=";
    const std::string& text = facts.kubeadmFlags.value();
    const size_t at = text.find(kFlag);
    if (at == std::string::npos) return "";
    const size_t begin = at + kFlag.size();
    const std::string name = text.substr(begin, text.find_first_of(" \"'\n", begin) - begin);
    const auto reference = parseImageReference(name);
    return reference ? reference->text() : "";
}

/// Whether an image is another version of the wanted one. Any other that is called pause may be
/// anybody's, brought here by whoever may make a pod: the sandbox of every pod is not to run it.
bool isOtherVersion(const std::string& name, const std::string& wanted) {
    const auto reference = parseImageReference(name);
    const auto meant = parseImageReference(wanted);
    return reference && meant && !reference->tag.empty() && name != wanted &&
           reference->host == meant->host && reference->repository == meant->repository;
}

const ObservedImage* find(const std::vector<ObservedImage>& images, const std::string& name) {
    const auto found = std::find_if(images.begin(), images.end(),
                                    [&](const ObservedImage& image) { return image.name == name; });
    return found == images.end() ? nullptr : &*found;
}

}  // namespace

void sandboxImage(const NodeFacts& facts, Findings& findings) {
    const std::string wanted = sandboxImageOf(facts.node);
    if (wanted.empty() || !facts.images.isKnown()) return;
    const auto& images = facts.images.value();
    const ObservedImage* image = find(images, wanted);
    std::vector<std::string> others;
    for (const auto& other : images)
        if (isOtherVersion(other.name, wanted)) others.push_back(other.name);
    if (image == nullptr) {
        add(findings, Severity::Critical, "sandbox-image-absent", wanted,
            "the runtime starts every pod with this image, and it is not on the node" +
                (others.empty() ? "" : "; there is " + join(others, ", ")),
            others.empty() ? "nodemirrord brings it from pause.sources; nodemirrorctl explain " +
                                 wanted + " tells why it cannot be pulled"
                           : "ctr -n k8s.io images tag " + others.back() + " " + wanted +
                                 "; or let nodemirrord bring it (pause.sources)");
    } else if (!image->pinLabel) {
        add(findings, Severity::Warning, "sandbox-image-unpinned", wanted,
            "nothing keeps kubelet's garbage collection from removing it",
            "ctr -n k8s.io images label " + wanted +
                " io.cri-containerd.pinned=pinned; nodemirrord does so by itself");
    }
    const std::string kubeadm = kubeadmPause(facts);
    if (!kubeadm.empty() && kubeadm != wanted)
        add(findings, Severity::Warning, "sandbox-image-other", wanted,
            "kubeadm prefetched " + kubeadm + ", and containerd asks for " + wanted +
                ": the one on the node is not the one that is used",
            "set the same image in containerd's config.toml, or let nodemirrord keep both "
            "(pause.aliases)");
}

void kubelet(const NodeFacts& facts, Findings& findings) {
    const auto found = facts.node.units.find(facts.kubeletUnit);
    if (found == facts.node.units.end() || !found->second.isKnown()) return;
    const ObservedUnit& unit = found->second.value();
    if (!unit.exists) {
        add(findings, Severity::Note, "kubelet-missing", facts.kubeletUnit,
            "there is no such unit on this node", "name the right one with --kubelet-unit");
    } else if (unit.activeState != "active") {
        add(findings, Severity::Critical, "kubelet-down", facts.kubeletUnit,
            "the unit is " + unit.activeState + ": no pod is started on this node",
            "journalctl -u " + facts.kubeletUnit + "; systemctl restart " + facts.kubeletUnit);
    }
}

void diskSpace(const NodeFacts& facts, Findings& findings) {
    if (!facts.disk.isKnown() || facts.disk.value().total == 0) return;
    const DiskUse& disk = facts.disk.value();
    const auto percent = [](uint64_t part, uint64_t whole) {
        return whole == 0 ? 100.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
    };
    // kubelet's own thresholds: it evicts at imagefs.available<15% and inodesFree<5%.
    const double space = percent(disk.available, disk.total);
    const double inodes = percent(disk.inodesFree, disk.inodes);
    if (space >= 15 && inodes >= 5) return;
    const std::string left = std::to_string(disk.available >> 20U) + " MiB (" +
                             std::to_string(static_cast<int>(space)) + " %) and " +
                             std::to_string(static_cast<int>(inodes)) + " % of its inodes left";
    add(findings, space < 5 || inodes < 1 ? Severity::Critical : Severity::Warning, "disk-pressure",
        disk.path, "the file system has " + left + ": pulls fail, and kubelet removes images",
        "crictl rmi --prune; then find what fills " + disk.path);
}

}  // namespace nodemirror::checks
