// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/ranks/Stream.h"
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ifaddrs.h>
#include <memory>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace grok::runtime {

static constexpr std::chrono::seconds connectTime{2}; // for one address
static constexpr int backlog = 4096;

static int millisecondsUntil(Clock::time_point end) {
  using std::chrono::milliseconds;
  const auto left = std::chrono::duration_cast<milliseconds>(end - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left + 1, 0, 1 << 30));
}

// False when `end` came first.
static bool waitUntilReady(int socket, short events, Clock::time_point end) {
  for (;;) {
    pollfd waiting = {socket, events, 0};
    const int ready = poll(&waiting, 1, millisecondsUntil(end));
    if (ready > 0)
      return true;
    if (ready == 0 || errno != EINTR)
      return false;
  }
}

Stream &Stream::operator=(Stream &&other) noexcept {
  std::swap(descriptor, other.descriptor);
  return *this;
}

Stream::~Stream() {
  if (descriptor >= 0)
    close(descriptor);
}

int Stream::release() { return std::exchange(descriptor, -1); }

static std::string textOf(const sockaddr *address, socklen_t length) {
  char text[NI_MAXHOST] = {};
  if (getnameinfo(address, length, text, sizeof(text), nullptr, 0, NI_NUMERICHOST) != 0)
    return "unknown";
  const std::string mapped = "::ffff:"; // IPv4 seen through an IPv6 socket
  const std::string found = text;
  return found.starts_with(mapped) ? found.substr(mapped.size()) : found;
}

std::string Stream::peerAddress() const {
  sockaddr_storage address = {};
  socklen_t length = sizeof(address);
  auto *generic = reinterpret_cast<sockaddr *>(&address);
  return getpeername(descriptor, generic, &length) == 0 ? textOf(generic, length) : "unknown";
}

static Result<Stream> connectTo(const addrinfo &address, Clock::time_point end) {
  Stream stream(socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!stream)
    return fail(std::strerror(errno));
  const int on = 1;
  setsockopt(stream.socket(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (::connect(stream.socket(), address.ai_addr, address.ai_addrlen) == 0)
    return stream;
  if (errno != EINPROGRESS)
    return fail(std::strerror(errno));
  if (!waitUntilReady(stream.socket(), POLLOUT, std::min(end, Clock::now() + connectTime)))
    return fail("no answer");
  int error = 0;
  socklen_t length = sizeof(error);
  getsockopt(stream.socket(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0)
    return fail(std::strerror(error));
  return stream;
}

Result<Stream> Stream::connect(const std::string &host, int port, Clock::time_point end) {
  addrinfo wanted = {};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo *list = nullptr;
  const std::string service = std::to_string(port);
  if (int error = getaddrinfo(host.c_str(), service.c_str(), &wanted, &list))
    return fail(host, ": ", gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(list, &freeaddrinfo);
  std::string why = "no address";
  for (const addrinfo *address = list; address; address = address->ai_next) {
    auto stream = connectTo(*address, end);
    if (stream)
      return stream;
    why = stream.error();
  }
  return fail(host, ":", port, ": ", why);
}

Result<void> Stream::send(const void *data, size_t bytes, Clock::time_point end) const {
  const auto *from = static_cast<const char *>(data);
  while (bytes > 0) {
    const ssize_t sent = ::send(descriptor, from, bytes, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN && waitUntilReady(descriptor, POLLOUT, end))
      continue;
    if (sent < 0)
      return fail(errno == EAGAIN ? "no answer" : std::strerror(errno));
    from += sent;
    bytes -= static_cast<size_t>(sent);
  }
  return {};
}

Result<void> Stream::receive(void *data, size_t bytes, Clock::time_point end) const {
  auto *to = static_cast<char *>(data);
  while (bytes > 0) {
    const ssize_t got = recv(descriptor, to, bytes, 0);
    if (got < 0 && errno == EAGAIN && waitUntilReady(descriptor, POLLIN, end))
      continue;
    if (got < 0)
      return fail(errno == EAGAIN ? "no answer" : std::strerror(errno));
    if (got == 0)
      return fail("the connection was closed");
    to += got;
    bytes -= static_cast<size_t>(got);
  }
  return {};
}

static Result<Stream> listenOn(int family, int port) {
  Stream stream(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_in6 six = {};
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(static_cast<uint16_t>(port));
  sockaddr_in four = {};
  four.sin_family = AF_INET;
  four.sin_port = six.sin6_port;
  const bool isSix = family == AF_INET6;
  const auto *address =
      isSix ? reinterpret_cast<const sockaddr *>(&six) : reinterpret_cast<const sockaddr *>(&four);
  const int on = 1, off = 0;
  if (stream)
    setsockopt(stream.socket(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (stream && isSix)
    setsockopt(stream.socket(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  if (!stream || bind(stream.socket(), address, isSix ? sizeof(six) : sizeof(four)) != 0 ||
      listen(stream.socket(), backlog) != 0)
    return fail("cannot listen on port ", port, ": ", std::strerror(errno));
  return stream;
}

Result<Listener> Listener::open(int port) {
  auto stream = listenOn(AF_INET6, port); // serves IPv4 as well
  if (!stream)
    stream = listenOn(AF_INET, port);
  if (!stream)
    return fail(stream.error());
  Listener listener;
  listener.listening = std::move(*stream);
  return listener;
}

int Listener::port() const {
  sockaddr_in6 address = {};
  socklen_t length = sizeof(address);
  if (getsockname(listening.socket(), reinterpret_cast<sockaddr *>(&address), &length) != 0)
    return 0;
  return ntohs(address.sin6_port); // at the same place for IPv4
}

Result<Stream> Listener::accept(Clock::time_point end) const {
  if (!waitUntilReady(listening.socket(), POLLIN, end))
    return Stream();
  Stream stream(accept4(listening.socket(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!stream && errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
    return fail("cannot accept connections: ", std::strerror(errno));
  const int on = 1;
  if (stream)
    setsockopt(stream.socket(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return stream;
}

std::vector<std::string> ownAddresses() {
  std::vector<std::string> found, loopback;
  ifaddrs *list = nullptr;
  if (getifaddrs(&list) != 0)
    return {};
  for (const ifaddrs *entry = list; entry; entry = entry->ifa_next) {
    if (!entry->ifa_addr || !(entry->ifa_flags & IFF_UP))
      continue;
    const int family = entry->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6)
      continue;
    const std::string text =
        textOf(entry->ifa_addr, family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    const bool isLocal = entry->ifa_flags & IFF_LOOPBACK;
    if (text.find('%') == std::string::npos) // a link-local address means nothing elsewhere
      (isLocal ? loopback : found).push_back(text);
  }
  freeifaddrs(list);
  found.insert(found.end(), loopback.begin(), loopback.end());
  return found;
}

} // namespace grok::runtime
