package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/waypost-mail/waypost"
)

// Packed is a content as it is stored, not inflated yet, for those who must
// know what it takes before it is in memory.
type Packed struct {
	ID         waypost.UUID
	Account    int64
	SubAccount int64
	Size       int    // bytes as stored
	Bytes      []byte // nil when they are more than was asked for
}

// SmallContent is up to how many bytes, stored and inflated, a content is read
// without ado.
const SmallContent = 256 << 10

// smallDecoder refuses frames that say they are larger, before it inflates them.
var smallDecoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(SmallContent))
	if err != nil {
		panic("BUG: zstd decoder options: " + err.Error())
	}
	return d
})

// Small gives the whole content, and false when it is not small or its bytes
// are not there: then Open reads it.
func (p *Packed) Small() (waypost.Content, bool) {
	if p.Bytes == nil || p.Size > SmallContent {
		return waypost.Content{}, false
	}
	plain, err := smallDecoder().DecodeAll(p.Bytes, nil)
	if err != nil { // too large, or damaged: Open tells which
		return waypost.Content{}, false
	}
	c := p.content()
	err = unpack(plain, &c)
	return c, err == nil
}

func (p *Packed) content() waypost.Content {
	return waypost.Content{ID: p.ID, Account: p.Account, SubAccount: p.SubAccount}
}

// Parts is a content whose attachments are inflated one at a time.
type Parts struct {
	Content waypost.Content // its attachments without their bytes
	Files   []int           // how many bytes each of them has

	from *zstd.Decoder
	next int
}

// maxHead bounds what a content holds besides its attachments, as JSON.
const maxHead = 64 << 20

// Open reads a content but for its attachments, which Next gives. Close the
// parts after use. Bytes must be there.
func (p *Packed) Open() (*Parts, error) {
	// Without concurrency blocks are inflated as they are asked for.
	from, err := zstd.NewReader(bytes.NewReader(p.Bytes), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(256<<20))
	if err != nil {
		return nil, fmt.Errorf("inflate content %s: %w", p.ID, err)
	}
	parts := &Parts{Content: p.content(), from: from}
	if err := parts.readHead(); err != nil {
		from.Close()
		return nil, fmt.Errorf("inflate content %s: %w", p.ID, err)
	}
	return parts, nil
}

func (p *Parts) readHead() error {
	var length [4]byte
	if _, err := io.ReadFull(p.from, length[:]); err != nil {
		return err
	}
	n := int64(binary.BigEndian.Uint32(length[:]))
	if n > maxHead {
		return fmt.Errorf("its head is %d bytes long", n)
	}
	head, err := io.ReadAll(io.LimitReader(p.from, n))
	if err == nil && int64(len(head)) < n {
		err = errCutShort
	}
	if err != nil {
		return err
	}
	p.Files, err = decodeHead(head, &p.Content)
	return err
}

// Next inflates the bytes of the next attachment; io.EOF after the last.
func (p *Parts) Next() ([]byte, error) {
	if p.next == len(p.Files) {
		return nil, io.EOF
	}
	data := make([]byte, p.Files[p.next])
	p.next++
	if _, err := io.ReadFull(p.from, data); err != nil {
		return nil, fmt.Errorf("inflate attachment %d of content %s: %w", p.next, p.Content.ID, err)
	}
	return data, nil
}

// Close ends the reading.
func (p *Parts) Close() { p.from.Close() }

var errCutShort = errors.New("stored content is cut short")

// maxFile bounds what one attachment may claim to have.
const maxFile = 256 << 20

// decodeHead reads the JSON of a content and tells how large its attachments
// are.
func decodeHead(head []byte, c *waypost.Content) ([]int, error) {
	var j contentJSON
	d := json.NewDecoder(bytes.NewReader(head))
	d.UseNumber() // of the variables, whose numbers keep their digits
	if err := d.Decode(&j); err != nil {
		return nil, fmt.Errorf("decode content: %w", err)
	}
	c.From, c.ReplyTo, c.Subject, c.PreText = j.From, j.ReplyTo, j.Subject, j.PreText
	c.HTML, c.Text, c.AMP, c.Headers, c.Groups = j.HTML, j.Text, j.AMP, j.Headers, j.Groups
	c.Variables, c.TrackOpens, c.TrackClicks = j.Variables, j.TrackOpens, j.TrackClicks
	c.Pool, c.Webhook, c.Attachments = j.Pool, j.Webhook, nil
	var sizes []int
	for _, a := range j.Attachments {
		if a.Size < 0 || a.Size > maxFile {
			return nil, fmt.Errorf("a stored attachment claims %d bytes", a.Size)
		}
		sizes = append(sizes, a.Size)
		c.Attachments = append(c.Attachments, waypost.Attachment{Filename: a.Filename, ContentType: a.ContentType, ContentID: a.ContentID})
	}
	return sizes, nil
}

// Heads reads contents without the bytes of their attachments, for lists and
// payloads. Of large ones it reads one at a time.
type Heads struct {
	Queue Queue
	large sync.Mutex
}

// Get finds a content; its attachments have no Data.
func (h *Heads) Get(ctx context.Context, id waypost.UUID) (waypost.Content, error) {
	p, err := h.Queue.PackedContent(ctx, id, SmallContent)
	if err != nil {
		return waypost.Content{}, err
	}
	if c, ok := p.Small(); ok {
		for i := range c.Attachments {
			c.Attachments[i].Data = nil
		}
		return c, nil
	}
	if p.Bytes == nil {
		h.large.Lock()
		defer h.large.Unlock()
		if p, err = h.Queue.PackedContent(ctx, id, p.Size); err != nil {
			return waypost.Content{}, err
		}
	}
	parts, err := p.Open()
	if err != nil {
		return waypost.Content{}, err
	}
	defer parts.Close()
	return parts.Content, nil
}
