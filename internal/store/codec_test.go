package store

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost-mail/waypost"
)

func TestContentRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 200, 2000)
		want := waypost.Content{
			From: waypost.Address{Name: text.Draw(t, "name"), Email: "a@example.com"}, Subject: text.Draw(t, "subject"),
			HTML: text.Draw(t, "html"), Text: text.Draw(t, "text"), Pool: text.Draw(t, "pool"),
			TrackOpens: rapid.Bool().Draw(t, "opens"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "attachments") {
			want.Attachments = append(want.Attachments, waypost.Attachment{
				Filename: text.Draw(t, "file"), Data: rapid.SliceOfN(rapid.Byte(), 0, 500).Draw(t, "data"),
			})
		}
		stored, err := EncodeContent(&want)
		if err != nil {
			t.Fatal(err)
		}
		var got waypost.Content
		if err := DecodeContent(stored, &got); err != nil {
			t.Fatal(err)
		}
		equal := cmp.Comparer(func(a, b []byte) bool { return bytes.Equal(a, b) })
		if d := cmp.Diff(want, got, equal); d != "" {
			t.Fatal(d)
		}
		p := Packed{Size: len(stored), Bytes: stored}
		if small, ok := p.Small(); !ok || !cmp.Equal(want, small, equal) {
			t.Fatalf("read as small: %v (-want +got)\n%s", ok, cmp.Diff(want, small, equal))
		}
		parts, err := p.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer parts.Close()
		for i := range parts.Content.Attachments {
			if parts.Content.Attachments[i].Data, err = parts.Next(); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(want, parts.Content, equal); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzDecodeContent(f *testing.F) {
	good, err := EncodeContent(&waypost.Content{Text: "t", Attachments: []waypost.Attachment{{Filename: "a", Data: []byte("data")}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var c waypost.Content
		decoded := DecodeContent(b, &c) == nil
		p := Packed{Size: len(b), Bytes: b}
		if _, ok := p.Small(); ok && !decoded {
			t.Fatal("read as small alone")
		}
		if parts, err := p.Open(); err == nil {
			for err == nil {
				_, err = parts.Next()
			}
			if parts.Close(); decoded && !errors.Is(err, io.EOF) {
				t.Fatalf("not read in parts: %v", err)
			}
		} else if decoded {
			t.Fatalf("not read in parts: %v", err)
		}
		if !decoded {
			return
		}
		if _, err := EncodeContent(&c); err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
	})
}

func TestEventIDsAscendWithTime(t *testing.T) {
	at := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	last := int64(0)
	for i := range 100 {
		id := EventID(at.Add(time.Duration(i)*time.Millisecond).UnixMilli(), 1023, 4095)
		if id <= last {
			t.Fatalf("id %d of millisecond %d is not above %d", id, i, last)
		}
		last = id
	}
	if EventID(at.UnixMilli(), 1, 0) == EventID(at.UnixMilli(), 2, 0) || EventID(at.UnixMilli(), 0, 1) == EventID(at.UnixMilli(), 0, 2) {
		t.Fatal("node or sequence make no difference")
	}
}

// TestSearchedSince: what was stored before headlines were kept is not found,
// and nothing is said once it is gone.
func TestSearchedSince(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	id := func(hours int) *waypost.UUID {
		u := waypost.NewUUID(at.Add(time.Duration(hours) * time.Hour))
		return &u
	}
	one, three := id(1), id(3)
	for name, c := range map[string]struct {
		first, last, headline *waypost.UUID
		want                  time.Time
	}{
		"nothing stored":       {nil, nil, nil, time.Time{}},
		"all have one":         {one, three, one, time.Time{}},
		"the older have none":  {one, three, id(2), at.Add(2 * time.Hour)},
		"none has one":         {one, three, nil, at.Add(3*time.Hour + time.Millisecond)},
		"one of what was left": {three, three, one, time.Time{}},
	} {
		if got := SearchedSince(c.first, c.last, c.headline); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
