//! Devices that the operations run on.

/// Returns whether the fused operations run on a device: the CPU always, an NVIDIA GPU in a build for it.
pub fn serves(device: &candle_core::Device) -> bool {
    device.is_cpu() || (cfg!(feature = "cuda") && device.is_cuda())
}
