// Package mtalog reads the log of a mail transfer agent: one line in, one [Fact] out.
//
// A tour. [New] gives the [Parser] of one MTA; [MTAs] names those there are. Parse takes a whole
// line as it stands in a log file, finds its form (traditional syslog, RFC 3339, RFC 5424; with
// timestamp.go shared by all), and hands the text to the MTA's own reader: postfix.go, opensmtpd.go, exim.go.
// ParseMessage is the same door for a journal, where time and tag come apart from the text. A line
// that says nothing about a message gives false and costs no allocation; a line that does costs
// one or two. [Writer] goes the other way: it writes lines in Postfix's shape for the built-in
// mailbox simulator and for generated test logs.
//
// What is promised. A line is read from left to right and the first status= in field position
// counts: what a far server wrote into its reply is text and never a field, so it can forge
// nothing. Strings of a Fact are valid UTF-8 without control characters. No line panics; a line
// above [MaxLine] bytes is refused. The package keeps no state about messages: which queue ID
// belongs to which message, what a hop is and what an expiry means is the agent's work.
//
// What fails. Only New fails, on a name it does not know. A malformed line is a line that says
// nothing.
//
// To add an MTA: one file with its reader, one line in the parsers map, one folder of goldens.
// It may import the standard library only, and it opens neither files nor connections.
package mtalog
