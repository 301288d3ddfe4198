//! Plans on the wire: Ballista's encoding, with a word for our unions and marks, whose inputs travel as any node's
//! children do, for what window functions do beside their name, and for functions of which executors have their own.

use std::sync::Arc;

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::common::{Result, internal_err};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{ScalarUDF, WindowUDF};
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};

use crate::calendar::{self, CalendarPart};
use crate::placement::unions::physical::{PlacedUnionExec, Way};
use crate::placement::{Limited, LimitedExec, Mark, Root, RootExec, Unordered, UnorderedExec};
use crate::ranks::Rank;
use crate::windows::Directed;

/// Says of a function that executors have their own.
const OURS: &[u8] = b"ours";

/// Ballista's codec, and some nodes and functions more.
#[derive(Debug, Default)]
pub(crate) struct PlanCodec(BallistaPhysicalExtensionCodec);

impl PhysicalExtensionCodec for PlanCodec {
    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if let Some(way) = Way::named(bytes) {
            return Ok(Arc::new(PlacedUnionExec::again(inputs.to_vec(), way)?));
        }
        if bytes == Root::NAME.as_bytes() {
            return Ok(Arc::new(RootExec::again(inputs.to_vec())?));
        }
        if bytes == Limited::NAME.as_bytes() {
            return Ok(Arc::new(LimitedExec::again(inputs.to_vec())?));
        }
        if bytes == Unordered::NAME.as_bytes() {
            return Ok(Arc::new(UnorderedExec::again(inputs.to_vec())?));
        }
        self.0.try_decode(bytes, inputs, context, converter)
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        bytes: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        if let Some(union) = node.downcast_ref::<PlacedUnionExec>() {
            bytes.extend_from_slice(union.way().name().as_bytes());
            return Ok(());
        }
        if node.is::<RootExec>() || node.is::<UnorderedExec>() || node.is::<LimitedExec>() {
            bytes.extend_from_slice(node.name().as_bytes());
            return Ok(());
        }
        self.0.try_encode(node, bytes, converter)
    }

    fn try_encode_udf(&self, function: &ScalarUDF, bytes: &mut Vec<u8>) -> Result<()> {
        if function.name() == calendar::NAME {
            bytes.extend_from_slice(OURS);
        }
        Ok(())
    }

    fn try_decode_udf(&self, name: &str, bytes: &[u8]) -> Result<Arc<ScalarUDF>> {
        match (name, bytes) {
            (calendar::NAME, OURS) => Ok(CalendarPart::function()),
            _ => internal_err!("the plan has a function {name} that cannot be read"),
        }
    }

    fn try_encode_udwf(&self, function: &WindowUDF, bytes: &mut Vec<u8>) -> Result<()> {
        Directed::encode(function, bytes);
        Rank::encode(function, bytes);
        Ok(())
    }

    fn try_decode_udwf(&self, name: &str, bytes: &[u8]) -> Result<Arc<WindowUDF>> {
        match Rank::decode(name, bytes) {
            Some(rank) => Ok(rank),
            None => Directed::decode(name, bytes),
        }
    }
}
