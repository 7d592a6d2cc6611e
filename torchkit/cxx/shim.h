// Shared by the C functions of this crate.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/Stream.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <string>

// The outcome of a call; `amdim_error` returns the message of the last failure on this thread.
enum { AMDIM_OK = 0, AMDIM_FAILED = 1, AMDIM_OUT_OF_MEMORY = 2 };

std::string& amdim_last_error();

// Runs `work`. No C++ exception leaves it: Rust could not catch one.
template <class Work>
int amdim_guarded(Work&& work) noexcept {
  try {
    work();
    return AMDIM_OK;
  } catch (const c10::OutOfMemoryError& error) {
    amdim_last_error() = error.what_without_backtrace();
    return AMDIM_OUT_OF_MEMORY;
  } catch (const c10::Error& error) {
    amdim_last_error() = error.what_without_backtrace();
  } catch (const std::exception& error) {
    amdim_last_error() = error.what();
  } catch (...) {
    amdim_last_error() = "an unknown C++ exception";
  }
  return AMDIM_FAILED;
}

extern "C" {

// A device by c10's numbers.
struct amdim_device {
  int32_t type;
  int32_t index;
};

// A stream by c10's numbers.
struct amdim_stream {
  int64_t id;
  amdim_device device;
};
}

inline c10::Device unpacked(amdim_device device) {
  return {static_cast<c10::DeviceType>(device.type), static_cast<c10::DeviceIndex>(device.index)};
}

inline c10::Stream unpacked(amdim_stream stream) {
  return c10::Stream::unpack3(stream.id, static_cast<c10::DeviceIndex>(stream.device.index),
                              static_cast<c10::DeviceType>(stream.device.type));
}

inline amdim_stream packed(const c10::Stream& stream) {
  return {stream.id(), {static_cast<int32_t>(stream.device_type()), static_cast<int32_t>(stream.device_index())}};
}
