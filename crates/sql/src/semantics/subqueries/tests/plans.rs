//! Shapes of plans that what knows how tables lie relies on.
