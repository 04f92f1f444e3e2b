package store

import (
	"bytes"
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
	encoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2), zstd.WithWindowSize(1<<20))
		if err != nil {
			panic("BUG: zstd encoder options: " + err.Error())
		}
		return e
	})
	decoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			panic("BUG: zstd decoder options: " + err.Error())
		}
		return d
	})
)

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
	out := encoder().EncodeAll(plain, make([]byte, 0, len(plain)/2+size+1024))
	for _, a := range c.Attachments {
		out = encoder().EncodeAll(a.Data, out)
	}
	return out, nil
}

// DecodeContent reads the stored form into c, leaving its ids alone.
func DecodeContent(stored []byte, c *waypost.Content) error {
	plain, err := decoder().DecodeAll(stored, nil)
	if err != nil {
		return fmt.Errorf("inflate content: %w", err)
	}
	if len(plain) < 4 || int64(len(plain)-4) < int64(binary.BigEndian.Uint32(plain)) {
		return errors.New("stored content is cut short")
	}
	n := int(binary.BigEndian.Uint32(plain))
	var j contentJSON
	d := json.NewDecoder(bytes.NewReader(plain[4 : 4+n]))
	d.UseNumber() // of the variables, whose numbers keep their digits
	if err := d.Decode(&j); err != nil {
		return fmt.Errorf("decode content: %w", err)
	}
	c.From, c.ReplyTo, c.Subject, c.PreText = j.From, j.ReplyTo, j.Subject, j.PreText
	c.HTML, c.Text, c.AMP, c.Headers, c.Groups = j.HTML, j.Text, j.AMP, j.Headers, j.Groups
	c.Variables, c.TrackOpens, c.TrackClicks = j.Variables, j.TrackOpens, j.TrackClicks
	c.Pool, c.Webhook, c.Attachments = j.Pool, j.Webhook, nil
	data := plain[4+n:]
	for _, a := range j.Attachments {
		if a.Size < 0 || a.Size > len(data) {
			return errors.New("stored attachments are cut short")
		}
		c.Attachments = append(c.Attachments, waypost.Attachment{
			Filename: a.Filename, ContentType: a.ContentType, ContentID: a.ContentID, Data: data[:a.Size:a.Size],
		})
		data = data[a.Size:]
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
