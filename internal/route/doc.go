// Package route answers where a message goes: the mailbox category of a
// recipient ([Classify]) and the provider of a pool ([Choose]).
//
// It is pure: no I/O, no clock, no randomness of its own. The same message
// and pool always give the same provider, so a choice can be explained after
// the fact. It imports the root package only.
//
// The choice is made when a message is accepted and stored with it (D-16); a
// retry keeps its provider.
package route
