#pragma once

#include "observed/image_findings.hpp"
#include "probe/registry_client.hpp"

#include <memory>
#include <vector>

namespace nodemirror {

/// How thoroughly an image is tried.
struct TrialOptions {
    ContainerdVersion version = kAssumedVersion;
    ProxySettings proxies;
    Patience patience;
    Platform platform;
    bool full = false;  ///< read whole layers and compare their digests, however long that takes
    /// Otherwise no further layer is looked at after so long: each may take its time, and an image
    /// has hundreds.
    Duration layersFor = std::chrono::minutes(2);
    bool pieces = true;  ///< read manifests and blobs too; otherwise only resolve
    std::shared_ptr<TlsContexts> contexts = std::make_shared<TlsContexts>();
};

/// Tries an image through every host of its chain, without containerd and without keeping anything:
/// all hosts are asked for the manifest at once, then the pieces are read in the way that
/// containerd's fetcher would (dockerFetcher.Fetch: every host in order, whatever its
/// capabilities).
class ImageTrial {
  public:
    ImageTrial(boost::asio::io_context& io, Resolver& resolver, TrialOptions options);

    Task<ImageFindings> run(ImageReference reference, ChainReading chain);

  private:
    Task<void> askHost(size_t index);
    Task<bool> readPiece(Descriptor descriptor, std::string what, uint64_t limit);
    Task<void> readBody(PieceFinding& piece, RegistryClient::Ask ask);
    Task<bool> resume(PieceFinding& piece, RegistryClient::Ask ask);
    void compareManifest(PieceFinding& piece) const;
    std::string resolvedDigest() const;
    Task<void> readImage();
    Task<void> readBlobs(ImageDocument manifest);

    boost::asio::io_context& io_;
    Resolver& resolver_;
    TrialOptions options_;
    ImageFindings findings_;
    std::vector<std::unique_ptr<RegistryClient>> clients_;
    std::string lastBody_;
    SteadyTime deadline_ = SteadyTime::max();
};

}  // namespace nodemirror
