#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

namespace nodemirror {

/// A containerd release. What a release does with its files is asked here by the name of the
/// behaviour, so that version numbers stand in one place.
struct ContainerdVersion {
    int major = 0;
    int minor = 0;
    int patch = 0;

    auto operator<=>(const ContainerdVersion&) const = default;
    std::string text() const;

    /// certs.d is read at all: 1.5.0 and later.
    bool readsCertsDir() const { return *this >= ContainerdVersion{1, 5, 0}; }
    /// hosts.toml and config.toml are read with go-toml 1.x (1.6, 1.7), else with go-toml 2.x.
    bool readsWithGoTomlV1() const { return major < 2; }
    /// The go-toml of Debian's 1.6 ends the daemon at some broken files (1.9.4's recover()).
    bool diesOfUnhandledTokens() const { return major < 2 && minor < 7; }
    /// `dial_timeout` in hosts.toml: 2.0.11, 2.1.0 and later.
    bool knowsDialTimeout() const { return *this >= ContainerdVersion{2, 0, 11}; }
    /// The `referrers` capability in hosts.toml: 2.2.0 and later.
    bool knowsReferrers() const { return *this >= ContainerdVersion{2, 2, 0}; }
    /// A localhost registry reached as the default host: always http before 1.7.
    bool localhostIsAlwaysHttp() const { return *this < ContainerdVersion{1, 7, 0}; }
    /// CRI leaves pulls to the transfer service, unless its settings do not go with that.
    bool pullsByTransferService() const { return *this >= ContainerdVersion{2, 1, 0}; }
    /// A later import replaces a plugin's whole section (1.x) instead of merging into it (2.x).
    bool importsReplaceSections() const { return major < 2; }
    /// The registry settings live in io.containerd.cri.v1.images (2.x).
    bool hasImagesPlugin() const { return major >= 2; }
    /// A relative glob in `imports` is looked for in the working directory, "/" under systemd,
    /// and not beside the file that has it.
    bool looksForGlobsInRoot() const { return *this < ContainerdVersion{1, 7, 0}; }
    /// A CRI section under a plugin's old name is taken over in a file of version 3 too.
    bool migratesOldPluginNames() const { return *this >= ContainerdVersion{2, 3, 0}; }
    /// An http host with TLS options is spoken to in https first (NewHTTPFallback).
    bool triesHttpsAtHttpHosts() const { return *this >= ContainerdVersion{1, 7, 0}; }
    /// Without config_path a localhost registry is spoken to in plain http alone.
    bool localhostIsPlainWithoutConfigPath() const { return major < 2; }
    /// A host's headers go to its token service too.
    bool sendsHeadersToTokenService() const { return *this >= ContainerdVersion{2, 1, 0}; }
    /// Errors of a pull by CRI say "failed to resolve image", not "failed to resolve reference".
    bool saysResolveImage() const { return *this >= ContainerdVersion{2, 1, 0}; }
    /// A refused manifest is told as "pulling from host … failed with status code […]".
    bool tellsStatusByHost() const { return *this < ContainerdVersion{1, 7, 0}; }
    /// Built with a Go (1.20 and later) whose errors say "tls: failed to verify certificate: ".
    bool prefixesCertificateErrors() const { return *this >= ContainerdVersion{1, 7, 0}; }
    /// Errors of requests have the values of a URL's query replaced.
    bool redactsQueries() const { return *this >= ContainerdVersion{2, 1, 0}; }
    /// A body that ends early is told as "short read: expected N bytes but got M".
    bool tellsShortReads() const { return *this >= ContainerdVersion{2, 1, 0}; }
    /// A refused blob is told as "unexpected status from GET request", with the body behind it.
    bool tellsUnexpectedStatusOfBlobs() const { return *this >= ContainerdVersion{2, 1, 0}; }
    /// An index without this platform is named by its digest.
    bool namesManifestWithoutPlatform() const { return *this >= ContainerdVersion{2, 1, 0}; }
    /// A challenge that cannot be met leaves the 401 itself to be told.
    bool tellsStatusOfUnmetChallenges() const { return *this < ContainerdVersion{1, 7, 0}; }
    /// A token service's refusal is told without its URL.
    bool leavesOutTokenUrls() const { return *this < ContainerdVersion{1, 7, 0}; }
    /// The highest version that config.toml may come to; 0 where none is refused (1.6).
    int highestConfigVersion() const;
    /// Of the errors of a chain's hosts the gravest is told; before that, the first that is no 404.
    bool tellsGravestError() const { return major >= 2; }
    /// The `version` to write into a new config.toml.
    int newConfigVersion() const { return major < 2 ? 2 : 3; }
    /// The sandbox image when config.toml names none.
    std::string defaultSandboxImage() const;
};

/// Of each line that is tested one: what is written is read back as every one of them reads it.
inline constexpr ContainerdVersion kTestedContainerds[]{{1, 6, 20}, {1, 7, 24}, {2, 1, 9}};

/// What a containerd is taken for while its version is not known.
constexpr ContainerdVersion kAssumedVersion{2, 1, 0};

/// Reads "1.6.20~ds1", "v2.1.9+unknown", "1.7"; nothing when there is no major.minor.
std::optional<ContainerdVersion> parseContainerdVersion(std::string_view text);

}  // namespace nodemirror
