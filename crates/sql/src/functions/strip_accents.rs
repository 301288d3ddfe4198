//! `strip_accents(text)`: letters without the marks above, below and through them. Letters that are no other letter
//! with a mark, such as ø, stay.

use std::sync::Arc;

use datafusion::arrow::array::{Array, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

use super::columnar::{arguments, is_text, over_arrays};
use super::text::Texts;

/// The function.
pub(super) fn strip_accents() -> ScalarUDF {
    ScalarUDF::from(StripAccents {
        signature: Signature::user_defined(Volatility::Immutable),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct StripAccents {
    signature: Signature,
}

impl ScalarUDFImpl for StripAccents {
    fn name(&self) -> &str {
        "strip_accents"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [of] if is_text(of) => Ok(vec![DataType::Utf8]),
            _ => plan_err!("strip_accents takes one text"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_arrays(&args, |arrays| {
            let [values] = arguments("strip_accents", arrays)?;
            let texts = Texts::of(values)?;
            let mut stripped = StringBuilder::with_capacity(values.len(), values.get_array_memory_size());
            for row in 0..texts.len() {
                match texts.get(row) {
                    Some(text) if text.is_ascii() => stripped.append_value(text),
                    Some(text) => stripped.append_value(without_marks(text)),
                    None => stripped.append_null(),
                }
            }
            Ok(Arc::new(stripped.finish()))
        })
    }
}

/// The blocks of marks that combine with letters of any script.
fn is_mark(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36F}' | '\u{1AB0}'..='\u{1AFF}' | '\u{1DC0}'..='\u{1DFF}' | '\u{20D0}'..='\u{20FF}' | '\u{FE20}'..='\u{FE2F}')
}

fn without_marks(text: &str) -> String {
    let apart = DecomposingNormalizerBorrowed::new_nfd().normalize(text);
    let bare: String = apart.chars().filter(|character| !is_mark(*character)).collect();
    // What was taken apart without a mark, such as Korean syllables, goes together again.
    ComposingNormalizerBorrowed::new_nfc().normalize(&bare).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{answers, found, refused, session};

    #[tokio::test]
    async fn marks_go_and_letters_stay() {
        // What DuckDB answers.
        let sql = "SELECT strip_accents('Crème Brûlée Łódź øß ñ Å ắ 한국 ё ﬁ'), length(strip_accents('한국')), strip_accents(NULL)";
        answers(sql, "Creme Brulee Łodz øß n A a 한국 е ﬁ,2,NULL").await;
        let sql =
            "SELECT strip_accents(arrow_cast(x, 'Dictionary(Int32, Utf8)')) FROM (VALUES ('é'), (NULL), ('abc')) t(x)";
        assert_eq!(found(&session(2), sql).await, ["e", "NULL", "abc"]);
        refused("SELECT strip_accents(5)", "strip_accents takes one text").await;
    }
}
