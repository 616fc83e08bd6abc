//! The threat model: what is at stake, where somebody can get at it, what stops him, and what does
//! not. Documentation only.
//!
//! Report a vulnerability privately to the maintainers, through the "Report a vulnerability" form
//! of the repository, not as an issue; say which version and, best, which request. Nobody who does
//! so in good faith has anything to fear.
//!
//! # What is at stake
//!
//! | asset | harm |
//! | --- | --- |
//! | access tokens, client secrets and keys, Devo's key | somebody reads the audit log of an organisation, or writes into its SIEM |
//! | the auth id | somebody announces content: work for us, never content of his own |
//! | audit records | they name people and what they did |
//! | completeness | an event that is lost or delayed hides what its author did |
//! | availability | Microsoft disables a webhook that does not answer |
//!
//! # Entries, and what stops whom
//!
//! | entry | attack | what stops it | where |
//! | --- | --- | --- | --- |
//! | public port, connection | floods, slow senders | limits by source and in all, never more than the limit of open files has room for, deadlines for everything, places for who was authentic | [`http`](crate::http) |
//! | | rapid reset, large heads, endless streams | limits of HTTP/2 streams, of requests taken back, of heads | [`http`](crate::http) |
//! | | no or another TLS client | client certificates by authority and name, where configured | [`tls`](crate::tls) |
//! | public port, request | no auth id, guessing it | compared in constant time before any byte of the body is read; at least 64 bits | [`webhook`](crate::webhook) |
//! | | other source | `allowed_sources`, where configured; only trusted proxies speak for others | [`webhook`](crate::webhook) |
//! | | headers that only a proxy may write | believed from trusted proxies only, by exact name, the last hop, one certificate; the proxy takes away what callers wrote | [`webhook`](crate::webhook) |
//! | | smuggling through a proxy | hyper refuses what is ambiguous; a refused request ends its connection | [`http`](crate::http) |
//! | public port, body | size, depth, number | caps before and while reading; nothing is built of what is not asked for | [`notification`](crate::notification) |
//! | | forged addresses | none is dialled: a request is made of our root, the tenant and the id alone (I6) | [`microsoft`](crate::microsoft) |
//! | | forged tenants, clients, types, ids | compared with the configuration; each refusal counted by reason | [`notification`](crate::notification) |
//! | | replay | recording known content is a no-op (I2) | [`ledger`](crate::ledger) |
//! | consent callback, where switched on | a consent of somebody else's, a forged one, floods of tries | 256 random bits as state, good once, for minutes, and compared before anything is written; the code is exchanged with our credential, and its tenant must be the one that was named | [`redirect`](crate::redirect), [`webhook`](crate::webhook) |
//! | answers of Microsoft's side | redirects, foreign next pages | never followed; only paths of the same feed under our root | [`microsoft`](crate::microsoft) |
//! | | bombs, bodies without end | unpacked piece by piece with a measure; every text has a cap (I7) | [`microsoft`](crate::microsoft) |
//! | | records that would be two lines | control characters are escaped, one record is one line (I8) | [`split`](crate::split), [`frame`](crate::frame) |
//! | Devo's side | another receiver | its certificate is verified, ours is shown | [`deliver`](crate::deliver) |
//! | log, metrics, status | what was said by strangers, or secrets | neither is logged (I9); control characters and marks of direction are escaped, texts cut, labels are closed sets | [`cli`](crate::cli), [`admin`](crate::admin) |
//! | admin port | whoever reaches it | reads only, on loopback unless configured otherwise | [`admin`](crate::admin) |
//! | configuration, secret files | who can write them owns the process | the operator's file permissions; secrets are never shown | [`config`](crate::config) |
//! | dependencies | a bad release | the lock file, cargo-deny in CI (bans with reasons, licences, sources, advisories), `unsafe` in one file only | `.deny.toml` |
//!
//! # What is not stopped
//!
//! - Somebody with the auth id can make us ask Microsoft for content that does not exist, within
//!   the tenant's request budget, and fill ledger rows with it. Rotate the id; `allowed_sources`
//!   helps.
//! - A flood that fills the line, or more sources than `max_connections`, before Microsoft was ever
//!   heard: until then its connections are strangers too, unless `allowed_sources` lists them.
//!   Content is found by the sweep all the same.
//! - A trusted proxy that lies, or one that passes bytes on without writing a header while its
//!   range is in `trusted_proxies`: its callers can then write the header themselves.
//! - A client certificate in a header proves nothing unless the proxy asked for it and removes the
//!   header from what callers send: certificates are public.
//! - Whoever controls the path to Devo can forge a bare TCP end of stream, which counts as
//!   confirmation (see `devo.confirm`).
//! - The code of a consent that came by the public port lies in the ledger for the moment until the
//!   command takes it, and may stay in free pages of the file. It is spent then, and worth nothing
//!   without our credential.
//! - Somebody with the rights of the process, or of root.
//! - The content of records is not judged: what Microsoft says happened is forwarded.
