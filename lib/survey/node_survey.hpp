#pragma once

#include "containerd/containerd_client.hpp"
#include "diagnose/node_facts.hpp"
#include "systemd/systemd_units.hpp"

#include <boost/asio/io_context.hpp>

#include <string>

namespace nodemirror {

struct SurveyOptions {
    std::string certsDir = "/etc/containerd/certs.d";
    std::string containerdSocket = "/run/containerd/containerd.sock";
    std::string containerdConfig = "/etc/containerd/config.toml";
    std::string containerdUnit = "containerd.service";
    std::string kubeletUnit = "kubelet.service";
    std::string assumedVersion;  ///< "" for containerd's own
};

/// Looks at the node once, without changing anything: containerd, systemd, configuration, disk.
class NodeSurvey {
  public:
    NodeSurvey(boost::asio::io_context& io, SurveyOptions options);

    /// An Error only where the assumed version cannot be read.
    Task<Result<NodeFacts>> look();
    /// What stands under certs.d: its registries as this containerd reads them.
    void lookAtRegistries(NodeFacts& facts) const;

  private:
    Task<void> lookAtContainerd(NodeFacts& facts);
    Task<void> lookAtUnits(NodeFacts& facts);

    SurveyOptions options_;
    ContainerdClient containerd_;
    systemd::SystemdUnits units_;
};

}  // namespace nodemirror
