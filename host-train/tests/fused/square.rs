//! The mean squared error.

use crate::support::{close, fine, var, wide};
use candle_core::{DType, Device};
use host_train::fused::square::mean_square;
use host_train::rng::TrainRng;

#[test]
fn the_squared_error_is_candles() {
    check_on(&Device::Cpu);
}

/// Compares the loss and its gradient with candle's in f64.
pub fn check_on(device: &Device) {
    let mut rng = TrainRng::new(2);
    let (output, target) = (fine(7000, &mut rng), fine(7000, &mut rng));
    let result = |dtype, fused: bool| {
        let place = if fused { device } else { &Device::Cpu };
        let output = var(&output, (70, 100), dtype, place);
        let target = var(&target, (70, 100), dtype, place).as_tensor().detach();
        let loss = if fused {
            mean_square(&output, &target).unwrap()
        } else {
            (output.as_tensor() - target)
                .unwrap()
                .sqr()
                .unwrap()
                .mean_all()
                .unwrap()
        };
        let loss = (loss * 3.0).unwrap();
        let gradients = loss.backward().unwrap();
        [wide(&loss), wide(gradients.get(&output).unwrap())]
    };
    let (fused, plain) = (result(DType::F32, true), result(DType::F64, false));
    close(&fused[0], &plain[0], 1e-6, "loss");
    close(&fused[1], &plain[1], 1e-6, "gradient");
}
