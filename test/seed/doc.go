// Package seed fills a store with scenes that the dashboard must show well: an
// installation that is new, one that is busy, one in trouble. It writes through
// the storage contract only, so that what it makes is what Waypost itself could
// have made. Tests and screenshots use it, and people by
//
//	go run ./test/seed/run --data DIR --scene busy
//
// which makes an installation in an empty directory that waypost serve opens.
package seed
