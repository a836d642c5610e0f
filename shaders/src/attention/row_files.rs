//! The WGSL files of the maps of rows.

use gatefold_core::Attention;
use gatefold_core::attention::{Activation, FeatureMap, RowNorm};

use super::files;
use super::row_map::{Factor, Kind, RowMap};
use crate::Source;
use crate::source::wgsl;

const SQUARES: Source = wgsl!("attention/row_map/squares.wgsl");
const FEATURE: Source = wgsl!("attention/row_map/featured.wgsl");

impl RowMap<'_> {
    /// The slots of a variant, and its name.
    pub(super) fn slots(&self) -> (Vec<Source>, String) {
        let rows = if self.of_queries() { files::QUERY_ROWS } else { files::KEY_ROWS };
        let mut slots = vec![files::SHAPE, wgsl!("attention/row_map/scaled.wgsl"), rows];
        let mut name = if self.of_queries() { ".queries".to_string() } else { ".keys".to_string() };
        slots.extend(match self.norm() {
            None => vec![wgsl!("attention/row_map/norm/none.wgsl")],
            Some(RowNorm::L2 { .. }) => vec![SQUARES, wgsl!("attention/row_map/norm/l2.wgsl")],
            Some(RowNorm::Rms { .. }) => vec![SQUARES, wgsl!("attention/row_map/norm/rms.wgsl")],
            Some(RowNorm::Layer { .. }) => vec![SQUARES, wgsl!("attention/row_map/norm/layer.wgsl")],
        });
        name.push_str(&self.norm().map(|n| format!(".{}", n.name())).unwrap_or_default());
        slots.extend(match self.feature_map() {
            None => vec![wgsl!("attention/row_map/feature/none.wgsl")],
            Some(FeatureMap::Relu) => vec![FEATURE, wgsl!("attention/row_map/feature/relu.wgsl")],
            Some(FeatureMap::EluOne) => vec![FEATURE, wgsl!("attention/row_map/feature/elu_one.wgsl")],
        });
        name.push_str(&self.feature_map().map(|map| format!(".{}", map.name())).unwrap_or_default());
        let (factor, part) = factor_slots(self.a, self.factor());
        slots.extend(factor);
        name.push_str(&part);
        let is_first = self.kind == Kind::Output && !self.a.epilogue.gate_last;
        slots.push(if is_first {
            wgsl!("attention/row_map/order/factor_first.wgsl")
        } else {
            wgsl!("attention/row_map/order/factor_last.wgsl")
        });
        name.push_str(if is_first { ".first" } else { "" });
        slots.push(if self.has_gain() {
            wgsl!("attention/row_map/gain/given.wgsl")
        } else {
            wgsl!("attention/row_map/gain/none.wgsl")
        });
        name.push_str(if self.has_gain() { ".gain" } else { "" });
        (slots, name)
    }
}

fn factor_slots(a: &Attention, factor: Factor) -> (Vec<Source>, String) {
    match factor {
        Factor::None => (vec![wgsl!("attention/row_map/factor/none.wgsl")], String::new()),
        Factor::LogKeys => {
            let (mask, part) = files::mask(a);
            (vec![wgsl!("attention/row_map/factor/log_keys.wgsl"), mask], format!(".log_keys{part}"))
        }
        Factor::Row(activation) => {
            let slots = [wgsl!("attention/row_map/factor/row.wgsl")].into_iter().chain(activate(activation));
            (slots.collect(), format!(".row_{}", activation.name()))
        }
        Factor::Element(activation) => {
            let slots = [wgsl!("attention/row_map/factor/element.wgsl")].into_iter().chain(activate(activation));
            (slots.collect(), format!(".element_{}", activation.name()))
        }
    }
}

/// The files of an activation.
pub(super) fn activate(activation: Activation) -> Vec<Source> {
    match activation {
        Activation::Identity => vec![wgsl!("attention/row_map/activation/identity.wgsl")],
        Activation::Sigmoid => vec![wgsl!("attention/row_map/activation/sigmoid.wgsl")],
        Activation::Silu => vec![wgsl!("attention/row_map/activation/silu.wgsl")],
        Activation::Tanh => vec![files::TANH, wgsl!("attention/row_map/activation/tanh.wgsl")],
    }
}
