//! What the admin ports of routers and agents answer, page by page. The servers fill these types and `warmlane` reads them.

pub mod decisions;
