package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// lateBody is a body that its handler reads itself: as a stream, or whole and
// once. What is registered with a RawBody is in memory until its handler
// returns, in a buffer of up to twice its size.
type lateBody struct {
	in     io.Reader
	length int64 // as the client says, -1 when it does not
	wait   func(time.Duration)
}

// lateBodyOf takes the body of a request.
func lateBodyOf(ctx huma.Context) lateBody {
	length, err := strconv.ParseInt(ctx.Header("Content-Length"), 10, 64)
	if err != nil {
		length = -1
	}
	return lateBody{ctx.BodyReader(), length, func(d time.Duration) {
		_ = ctx.SetReadDeadline(time.Now().Add(d)) // not every connection has one
	}}
}

// describeLateBody puts the schema of a body into the document of an operation
// that is registered, and there alone.
func describeLateBody(a *API, op *huma.Operation, body any) {
	described := *a.huma.OpenAPI().Paths[op.Path].Post
	described.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: huma.SchemaFromType(a.huma.OpenAPI().Components.Schemas, reflect.TypeOf(body))},
	}}
	a.huma.OpenAPI().Paths[op.Path].Post = &described
}

// firstPiece is how much of a body must be there before room is made for as much
// as its sender announced: saying it costs nothing.
const firstPiece = 1 << 20

// whole reads a body of at most so many bytes. Before more of it is kept than
// its client announced, grow is asked.
func (b *lateBody) whole(limit int64, patience time.Duration, grow func(int64) error) ([]byte, error) {
	tooLong := fail(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", limit))
	if b.length > limit {
		return nil, tooLong
	}
	b.wait(patience)
	whole := max(b.length, 4<<10) + 1 // one more than it has, to meet its end
	body := make([]byte, 0, min(whole, firstPiece))
	for {
		n, err := b.in.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > limit:
			return nil, tooLong
		case errors.Is(err, io.EOF):
			return body, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, fail(http.StatusRequestTimeout, "the body did not come within "+patience.String()+"; nothing was stored")
		case err != nil:
			return nil, badField("body", "broke off after %d bytes; nothing was stored", len(body))
		case len(body) == cap(body) && int64(len(body)) < whole: // it comes, as was said
			body = append(make([]byte, 0, whole), body...)
		case len(body) == cap(body):
			if err := grow(2 * int64(cap(body))); err != nil {
				return nil, err
			}
			body = append(body, 0)[:len(body)]
		}
	}
}

// The bounds of what is read after a refusal.
const (
	hearBytes    = 2 * maxEmailBody
	hearPatience = 15 * time.Second
)

// hearOut reads what a client still sends of a body that was refused, so that
// it comes to reading the refusal: most clients write first, and to them a
// connection that closes meanwhile is a broken pipe and no 413. Nothing of it is
// kept. A client that waits for leave to send (RFC 9110, section 10.1.1) gets
// its answer at once.
func hearOut(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody || r.Header.Get("Expect") != "" {
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(hearPatience)) // not every connection has one
	_, _ = io.CopyN(io.Discard, r.Body, hearBytes)                                  // its end, or the client's
}
