// Package track is what a message that was sent hears back: opens, clicks and
// unsubscriptions (D-27, D-28).
//
// # Tokens
//
// A tracking URL carries a [Token]: kind, message UUID, when it was relayed,
// for a click the link itself. It is signed, not encrypted, with HMAC-SHA-256
// under a key of the installation's key file ([Keys]), so nothing is looked up
// before a redirect, nobody can make this host redirect where they want, and
// the same message gives the same bytes twice. A [Site] makes the URLs:
//
//	{base}/track/tpsp/open/{token}/1.png     1x1 image
//	{base}/track/tpsp/click/{token}          302 to the link, byte for byte
//	{base}/track/tpsp/unsubscribe/{token}    page to confirm; RFC 8058 by POST
//
// # Requests
//
// [Tracker] serves them. The Host header decides nothing, so every host that
// points here works. An open or a click is answered at once and waits in
// memory, for half a second, until [Tracker.Run] stores it with others. A crash
// loses what waits; a stop stores it first. While storage is away up to 64 MiB
// wait, then the oldest visits go and are counted. An unsubscription is answered
// after its commit only. Storing a visit costs more than answering it: while
// storage is more than a moment behind, answers rest for up to 5 ms, so that they
// do not crowd it out.
//
// # Persons and machines
//
// [Rules] tell which visits no person made: rules/machines.txt is the data,
// with the source of each rule. Verdicts are given when a visit is stored, not
// when the request comes, because one rule needs to see the clicks around it: a
// filter follows every link of a message within seconds. Of such a burst each
// click gets the verdict that comes within half a second of the last link, or
// after it within the rule's time. Earlier ones are stored as a person's by
// then, and stay that: a filter that takes five seconds for ten links counts as
// a person until its last half second. A message of one or two links gives no
// such verdict.
//
// [Device] names browser, system and device of a user agent, for people; [Geo]
// says where an address is, from a file that the operator brings.
//
// The package stands on the first floor and imports the root only.
package track
