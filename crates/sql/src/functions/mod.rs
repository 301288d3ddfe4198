//! SQL functions beside the engine's, and those that take the place of the engine's where its own give wrong answers.
