// Package server is the process: configuration, roles, the ordered start and
// the reverse stop.
//
// [Run] reads like the list it is: key file, storage, the parts of one node,
// the listeners, and what runs in the background. When its context ends, the
// list is undone from the bottom: no new request is taken, what is in flight
// is finished or given its grace period, storage is closed last.
//
// [Init] creates an installation and returns its keys; they are shown once and
// kept only as hashes (D-9, D-10).
//
// [Backup] copies the database beside a running server, [Restore] makes a data
// directory of the copy in which nothing is relayed until somebody says so.
//
// It stands on the fifth floor and imports all of the house.
package server
