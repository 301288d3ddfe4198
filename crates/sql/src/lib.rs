//! The SQL that Parcours speaks, where it is not the engine's own: which clauses a statement may have ([`syntax`]), what
//! expressions and subqueries mean ([`semantics`]), the functions beside the engine's ([`functions`]), and the list of all
//! that a statement may use ([`surface`]), from which its documentation is written. It knows nothing of patients, shards or
//! the cluster: how a plan is split is decided in `parcours-cluster`.

pub mod functions;
pub mod semantics;
pub mod surface;
pub mod syntax;
