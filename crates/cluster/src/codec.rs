//! Plans on the wire: Ballista's encoding, with a word for the aligned union, whose parts travel as any node's children do,
//! and for what window functions do beside their name.

use std::sync::Arc;

use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::common::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};

use datafusion::logical_expr::WindowUDF;

use crate::aligned::physical::{AlignedUnionExec, NAME};
use crate::windows::Directed;

/// Ballista's codec, and one node and some functions more.
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
        if bytes == NAME.as_bytes() {
            return Ok(Arc::new(AlignedUnionExec::again(inputs.to_vec())?));
        }
        self.0.try_decode(bytes, inputs, context, converter)
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        bytes: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        if node.is::<AlignedUnionExec>() {
            bytes.extend_from_slice(NAME.as_bytes());
            return Ok(());
        }
        self.0.try_encode(node, bytes, converter)
    }
    fn try_encode_udwf(&self, function: &WindowUDF, bytes: &mut Vec<u8>) -> Result<()> {
        Directed::encode(function, bytes);
        Ok(())
    }

    fn try_decode_udwf(&self, name: &str, bytes: &[u8]) -> Result<Arc<WindowUDF>> {
        Directed::decode(name, bytes)
    }
}
