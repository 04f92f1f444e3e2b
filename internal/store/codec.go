package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/waypost-mail/waypost"
)

// Engines keep some values as text or bytes. Their form is decided here, once,
// so that a database of one engine can be read into the other.

// contentJSON is a Content without its attachments' bytes, which follow the
// JSON raw.
type contentJSON struct {
	From        waypost.Address
	ReplyTo     waypost.Address
	Subject     string           `json:",omitempty"`
	PreText     string           `json:",omitempty"`
	HTML        string           `json:",omitempty"`
	Text        string           `json:",omitempty"`
	AMP         string           `json:",omitempty"`
	Headers     []waypost.Header `json:",omitempty"`
	Attachments []attachmentJSON `json:",omitempty"`
	Groups      []string         `json:",omitempty"`
	Variables   map[string]any   `json:",omitempty"`
	TrackOpens  bool             `json:",omitempty"`
	TrackClicks bool             `json:",omitempty"`
	Pool        string           `json:",omitempty"`
	Webhook     string           `json:",omitempty"`
}

type attachmentJSON struct {
	Filename    string
	ContentType string `json:",omitempty"`
	ContentID   string `json:",omitempty"`
	Size        int
}

var (
	encoder = sync.OnceValue(func() *zstd.Encoder { return newEncoder(2) })
	decoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			panic("BUG: zstd decoder options: " + err.Error())
		}
		return d
	})
)

func newEncoder(atOnce int) *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(atOnce), zstd.WithWindowSize(1<<20))
	if err != nil {
		panic("BUG: zstd encoder options: " + err.Error())
	}
	return e
}

// EncodeContent gives the stored form of a content but for its ids: a length,
// JSON, and the attachments' bytes, compressed with zstd.
func EncodeContent(c *waypost.Content) ([]byte, error) {
	j := contentJSON{
		From: c.From, ReplyTo: c.ReplyTo, Subject: c.Subject, PreText: c.PreText,
		HTML: c.HTML, Text: c.Text, AMP: c.AMP, Headers: c.Headers, Groups: c.Groups,
		Variables: c.Variables, TrackOpens: c.TrackOpens, TrackClicks: c.TrackClicks,
		Pool: c.Pool, Webhook: c.Webhook,
	}
	size := 0
	for _, a := range c.Attachments {
		j.Attachments = append(j.Attachments, attachmentJSON{a.Filename, a.ContentType, a.ContentID, len(a.Data)})
		size += len(a.Data)
	}
	head, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("encode content %s: %w", c.ID, err)
	}
	plain := make([]byte, 0, 4+len(head))
	plain = binary.BigEndian.AppendUint32(plain, uint32(len(head)))
	plain = append(plain, head...)
	// A frame for each part: they are read as one (RFC 8878, section 3), and the
	// files are never copied.
	encode := encoder()
	if size > 1<<20 {
		encode = newEncoder(1) // one that is kept remembers what it wrote last
	}
	out := encode.EncodeAll(plain, make([]byte, 0, len(plain)/2+size+1024))
	for _, a := range c.Attachments {
		out = encode.EncodeAll(a.Data, out)
	}
	return out, nil
}

// DecodeContent reads the stored form into c, leaving its ids alone.
func DecodeContent(stored []byte, c *waypost.Content) error {
	plain, err := decoder().DecodeAll(stored, nil)
	if err != nil {
		return fmt.Errorf("inflate content: %w", err)
	}
	return unpack(plain, c)
}

// unpack reads the inflated form. The attachments keep plain alive.
func unpack(plain []byte, c *waypost.Content) error {
	if len(plain) < 4 || int64(len(plain)-4) < int64(binary.BigEndian.Uint32(plain)) {
		return errCutShort
	}
	n := int(binary.BigEndian.Uint32(plain))
	sizes, err := decodeHead(plain[4:4+n], c)
	if err != nil {
		return err
	}
	data := plain[4+n:]
	for i, size := range sizes {
		if size > len(data) {
			return errors.New("stored attachments are cut short")
		}
		c.Attachments[i].Data = data[:size:size]
		data = data[size:]
	}
	return nil
}

// EncodeJSON gives the text form of a value kept as JSON: records of a domain,
// settings of a provider, members of a pool, copies of a message.
func EncodeJSON(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode %T: %w", v, err)
	}
	return string(b), nil
}

// DecodeJSON reads what EncodeJSON wrote; "" leaves v alone.
func DecodeJSON(s string, v any) error {
	if s == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(s), v); err != nil {
		return fmt.Errorf("decode stored %T: %w", v, err)
	}
	return nil
}

// eventEpoch is the millisecond that event ids count from, 2020-01-01 UTC: 41
// bits of milliseconds last until September 2089.
const eventEpoch = 1_577_836_800_000

// EventID makes the id of an event from milliseconds since 1970: those since
// 2020 above 22 bits of node and sequence, so that ids ascend with time and a
// range of ids is a range of times. A time that an id cannot express is moved
// to the nearest that it can. Node is below 1,024, sequence below 4,096.
func EventID(ms int64, node, sequence int) int64 {
	ms = min(max(ms, eventEpoch)-eventEpoch, 1<<41-1)
	return ms<<22 | int64(node&1023)<<12 | int64(sequence&4095)
}

// EventTime is the millisecond in which an event of the id was stored.
func EventTime(id int64) time.Time { return time.UnixMilli(id>>22 + eventEpoch).UTC() }
