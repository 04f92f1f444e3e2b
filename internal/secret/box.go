package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Box seals and opens values under the keys of a key file. The first key of
// the file seals; every key opens what it sealed.
type Box struct {
	sealer byte
	keys   map[byte]cipher.AEAD
	roots  map[byte][]byte // what Derive derives from
}

// String hides the keys.
func (*Box) String() string { return "[key file]" }

// GoString hides the keys from %#v.
func (*Box) GoString() string { return "[key file]" }

// ErrOpen is returned for a value that no key of the box opens, or that was
// sealed for another place.
var ErrOpen = errors.New("sealed value cannot be opened with this installation's key file")

const (
	format   = 1 // first byte of a sealed value; the second is the key's number
	overhead = 2
)

// OpenOrCreate reads the key file at path, making one with a fresh key and
// mode 0600 when there is none.
func OpenOrCreate(path string) (*Box, error) {
	box, err := Open(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return box, err
	}
	var key [32]byte
	_, _ = rand.Read(key[:])
	line := "1 " + hex.EncodeToString(key[:]) + "\n"
	if err := writeOnce(path, []byte(line)); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("write key file: %w", err)
	}
	return Open(path)
}

// Open reads a key file: one key a line, "number hex", the sealing one first.
// It refuses a file that others than its owner may read.
func Open(path string) (*Box, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("key file %s may be read by others (mode %04o): run chmod 600 on it", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	b := &Box{keys: map[byte]cipher.AEAD{}, roots: map[byte][]byte{}}
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if err := b.add(strings.TrimSpace(line)); err != nil {
			return nil, fmt.Errorf("key file %s, line %d: %w", path, i+1, err)
		}
	}
	return b, nil
}

func (b *Box) add(line string) error {
	var number byte
	var text string
	if _, err := fmt.Sscanf(line, "%d %s", &number, &text); err != nil {
		return errors.New(`want "number hex"`)
	}
	key, err := hex.DecodeString(text)
	if err != nil || len(key) != 32 {
		return errors.New("a key has 64 hexadecimal digits")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return fmt.Errorf("AES: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return fmt.Errorf("GCM: %w", err)
	}
	if _, twice := b.keys[number]; twice {
		return fmt.Errorf("key number %d stands twice", number)
	}
	if len(b.keys) == 0 {
		b.sealer = number
	}
	b.keys[number], b.roots[number] = aead, key
	return nil
}

// Derive makes keys of 32 bytes for one purpose, such as "tracking token", from
// each key of the file (RFC 5869): with their numbers, and the number of the
// one that seals. Keys of different purposes say nothing about each other.
func (b *Box) Derive(purpose string) (first byte, keys map[byte][]byte, err error) {
	keys = map[byte][]byte{}
	for number, root := range b.roots {
		if keys[number], err = hkdf.Key(sha256.New, root, nil, "waypost "+purpose, 32); err != nil {
			return 0, nil, fmt.Errorf("derive the key for %s: %w", purpose, err)
		}
	}
	return b.sealer, keys, nil
}

// Seal encrypts plain for one place, such as "provider password". Opening
// needs the same place.
func (b *Box) Seal(plain []byte, place string) []byte {
	aead := b.keys[b.sealer]
	out := make([]byte, overhead+aead.NonceSize(), overhead+aead.NonceSize()+len(plain)+aead.Overhead())
	out[0], out[1] = format, b.sealer
	nonce := out[overhead:]
	_, _ = rand.Read(nonce)
	return aead.Seal(out, nonce, plain, []byte(place))
}

// Open decrypts what Seal made for the same place.
func (b *Box) Open(sealed []byte, place string) ([]byte, error) {
	if len(sealed) < overhead || sealed[0] != format {
		return nil, fmt.Errorf("%s: %w", place, ErrOpen)
	}
	aead, ok := b.keys[sealed[1]]
	if !ok || len(sealed) < overhead+aead.NonceSize() {
		return nil, fmt.Errorf("%s: %w", place, ErrOpen)
	}
	nonce, text := sealed[overhead:overhead+aead.NonceSize()], sealed[overhead+aead.NonceSize():]
	plain, err := aead.Open(nil, nonce, text, []byte(place))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, ErrOpen)
	}
	return plain, nil
}

// writeOnce writes a new file whole, or fails with fs.ErrExist; a crash leaves
// no half-written key.
func writeOnce(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if _, err := f.Write(b); err != nil {
		_ = f.Close()
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
