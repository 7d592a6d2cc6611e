// c10d's stores: tables of keys and values that all ranks of a group see.

#include "../shim.h"

#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

using c10d::Store;
using std::chrono::milliseconds;

extern "C" {

int amdim_store_in_memory(Store** out) {
  return amdim_guarded([&] { *out = c10::make_intrusive<c10d::HashStore>().release(); });
}

// Connects to the store at an address, and first serves it there if `serve` is set. Writes the port, which the system
// chooses if a port of 0 is served.
int amdim_store_connect(const char* host, uint16_t port, int serve, int64_t timeout, Store** out, uint16_t* connected) {
  return amdim_guarded([&] {
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = serve;
    options.waitWorkers = false;
    options.timeout = milliseconds(timeout);
    auto store = c10::make_intrusive<c10d::TCPStore>(host, options);
    *connected = store->getPort();
    *out = store.release();
  });
}

int amdim_store_under(Store* store, const char* prefix, Store** out) {
  return amdim_guarded([&] {
    auto whole = c10::intrusive_ptr<Store>::unsafe_reclaim_from_nonowning(store);
    *out = c10::make_intrusive<c10d::PrefixStore>(prefix, whole).release();
  });
}

int amdim_store_set(Store* store, const char* key, const uint8_t* value, size_t length) {
  return amdim_guarded([&] { store->set(key, std::vector<uint8_t>(value, value + length)); });
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
