package server

import (
	"net/http"
	"time"
)

const (
	// bodyPatience is how long the body of a request may take unless its handler
	// gives it more: also one that no handler reads, which net/http passes over.
	bodyPatience = 2 * time.Minute
	// readPatience is how long a client may take to read a piece of an answer.
	readPatience = 2 * time.Minute
	// pieceOfAnswer is as much as every client can read in that time.
	pieceOfAnswer = 128 << 10
)

// within bounds the time of bodies and of answers, so that clients that send
// none of what they announce, or read nothing of what they asked for, hold no
// connection for ever.
func within(body, read time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &boundedWriter{w, http.NewResponseController(w), read}
		if r.ContentLength != 0 {
			_ = out.control.SetReadDeadline(time.Now().Add(body)) // until the next request
		}
		out.extend() // net/http may have to say 100 Continue
		next.ServeHTTP(out, r)
		out.extend() // it writes what is left in its buffer
	})
}

// boundedWriter gives the client a time for every piece of an answer, whatever
// the answer's length.
type boundedWriter struct {
	http.ResponseWriter

	control *http.ResponseController
	limit   time.Duration
}

func (b *boundedWriter) extend() {
	_ = b.control.SetWriteDeadline(time.Now().Add(b.limit)) // not every writer knows deadlines
}

// Write writes piece by piece.
func (b *boundedWriter) Write(p []byte) (int, error) {
	done := 0
	for {
		b.extend()
		n, err := b.ResponseWriter.Write(p[done:min(done+pieceOfAnswer, len(p))])
		if done += n; err != nil || done == len(p) {
			return done, err
		}
	}
}

// Flush sends what is buffered.
func (b *boundedWriter) Flush() {
	b.extend()
	_ = b.control.Flush() // a broken connection is met by the next write
}

// Unwrap lets http.ResponseController reach the connection.
func (b *boundedWriter) Unwrap() http.ResponseWriter { return b.ResponseWriter }
