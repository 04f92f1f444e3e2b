// Package secret keeps two classes of secret.
//
// Those that are only compared (API keys) are made here from 256 random bits,
// shown once, and kept as a SHA-256 hash: see [NewKey] and [HashKey]. A hash
// without salt is enough, because nobody can guess the input.
//
// Those that must be used again (SMTP passwords, DKIM keys) are sealed with
// AES-256-GCM under a key file that lies outside the database: see [Box]. A
// sealed value names the key that sealed it, so keys can be rotated, and is
// bound to the row it belongs to, so it cannot be moved to another. Other
// packages get keys of their own from the same file: see [Box.Derive].
//
// The package stands on the ground floor and imports nothing of ours.
package secret
