package waypost

import "time"

// Transcript is what was said in one relay attempt, however it ended. It holds
// no credentials.
type Transcript struct {
	Attempt int           // its number, 1 is the first
	Took    time.Duration // from the claim to the reply, waiting for a session included; whole milliseconds
	Remote  string        // the server's IP address and port, "" when no connection came about
	TLS     string        // the version, "" without TLS
	Cipher  string        // "" without TLS
	Reused  bool          // the session had carried a message before
	Steps   []TranscriptStep
}

// TranscriptStep is one step of an attempt: a stage of dialling, or a command
// and its reply.
type TranscriptStep struct {
	Name   string // the stage: resolve, connect, banner, ehlo, …, mail, rcpt, data, final
	Failed bool
	Code   int           // of the reply, 0 when there was none
	Text   string        // of the reply without its code, or the error
	Took   time.Duration // since the step before, whole milliseconds
}
