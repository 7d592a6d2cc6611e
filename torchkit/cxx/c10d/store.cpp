// c10d's stores: tables of keys and values that all ranks of a group see.

#include "../shim.h"

#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <cstdlib>

using c10d::Store;
using std::chrono::milliseconds;

extern "C" {

// c10d logs failures that it also returns, with stacks. Only what ends the process is logged from now on, unless the
// user asks for more.
void amdim_quiet_c10d() {
  constexpr int FATAL = 3;
  if (!std::getenv("TORCH_CPP_LOG_LEVEL")) FLAGS_caffe2_log_level = FATAL;
}

int amdim_store_in_memory(Store** out) {
  return amdim_guarded([&] { *out = c10::make_intrusive<c10d::HashStore>().release(); });
}

// Connects to the store at an address. If `listener` is not negative, it is a socket that listens there, and this
// process serves the store by it.
int amdim_store_connect(const char* host, uint16_t port, int listener, int64_t timeout, Store** out) {
  return amdim_guarded([&] {
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = listener >= 0;
    if (options.isServer) options.masterListenFd = listener;
    options.waitWorkers = false;
    options.timeout = milliseconds(timeout);
    *out = c10::make_intrusive<c10d::TCPStore>(host, options).release();
  });
}

int amdim_store_under(Store* store, const char* prefix, Store** out) {
  return amdim_guarded([&] {
    auto whole = c10::intrusive_ptr<Store>::unsafe_reclaim_from_nonowning(store);
    *out = c10::make_intrusive<c10d::PrefixStore>(prefix, whole).release();
  });
}

// Returns once the store has the value: a server does not answer `set`, but it answers in the order of calls.
int amdim_store_set(Store* store, const char* key, const uint8_t* value, size_t length) {
  return amdim_guarded([&] {
    store->set(key, std::vector<uint8_t>(value, value + length));
    store->check({key});
  });
}

// Waits for a key and passes its value to `take`. The wait has a connection of its own, since a store that waits
// keeps its other callers waiting too.
int amdim_store_get(Store* store, const char* key, int64_t timeout, void* to,
                    void (*take)(void*, const uint8_t*, size_t)) {
  return amdim_guarded([&] {
    if (!store->check({key})) store->clone()->wait({key}, milliseconds(timeout));
    auto value = store->get(key);
    take(to, value.data(), value.size());
  });
}

int amdim_store_add(Store* store, const char* key, int64_t amount, int64_t* out) {
  return amdim_guarded([&] { *out = store->add(key, amount); });
}

int amdim_store_has(Store* store, const char* key, int* out) {
  return amdim_guarded([&] { *out = store->check({key}); });
}

void amdim_store_free(Store* store) {
  amdim_guarded([&] { c10::intrusive_ptr<Store>::reclaim(store); });
}
}
