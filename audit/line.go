package audit

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	// maxEvent bounds a line of the journal. Brokers take 1 MiB a message unless told
	// otherwise, batches of several included.
	maxEvent = 256 << 10

	// maxPayload is what its envelope leaves: seven texts of maxName and the names.
	maxPayload = maxEvent - 8<<10

	timeLayout = "2006-01-02T15:04:05.000000Z"
)

// castagnoli is the polynomial that processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// head is what the lines of one subject have in common, encoded.
type head struct {
	ids []byte // from behind the time to event_seq
	who []byte // behind event_type
	end []byte // behind the payload
}

func newHead(s Subject) head {
	b := make([]byte, 0, 256)
	b = append(b, `,"request_id":`...)
	b, _ = appendText(b, s.Request, maxName)
	b = appendName(b, `,"session_id":`, s.Session)
	b = append(b, `,"event_seq":`...)
	ids := len(b)
	b = appendName(b, `,"user_id":`, s.User)
	b = appendName(b, `,"agent":`, s.Agent)
	who := len(b)
	b = appendName(b, `,"traceparent":`, s.TraceParent)
	return head{ids: b[:ids], who: b[ids:who], end: b[who:]}
}

// appendLine appends an event as it stands in the journal. The checksum is its last
// member and covers every byte before it; the newline ends the line, and nothing in it
// does.
func appendLine(dst []byte, h *head, id [16]byte, at time.Time, seq uint64, e Event) []byte {
	from := len(dst)
	dst = append(dst, `{"event_id":"`...)
	dst = hex.AppendEncode(dst, id[:])
	dst = append(dst, `","time":"`...)
	dst = at.UTC().AppendFormat(dst, timeLayout)
	dst = append(dst, '"')
	dst = append(dst, h.ids...)
	dst = strconv.AppendUint(dst, seq, 10)
	dst = append(dst, `,"event_type":"`...)
	dst = append(dst, e.Payload.Type()...)
	dst = append(dst, '"')
	dst = append(dst, h.who...)
	dst = appendName(dst, `,"provider":`, e.Provider)
	dst = appendName(dst, `,"model":`, e.Model)
	dst = append(dst, `,"payload":`...)
	payload := len(dst)
	if dst = e.Payload.AppendJSON(dst); len(dst)-payload > maxPayload {
		dst = append(dst[:payload], `{"truncated":true}`...)
	}
	dst = append(dst, h.end...)
	sum := crc32.Checksum(dst[from:], castagnoli)
	dst = append(dst, crcName...)
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], sum)
	dst = hex.AppendEncode(dst, b[:])
	return append(dst, crcEnd...)
}

const (
	crcName = `,"crc":"`
	crcEnd  = "\"}\n"
	crcSize = len(crcName) + 8 + len(crcEnd)
)

// openLine checks a line, newline included, and returns the event in it: the object
// without its checksum. It is in the line's own memory, which is changed for it.
func openLine(line []byte) (value []byte, ok bool) {
	n := len(line) - crcSize
	if n < 1 || line[0] != '{' {
		return nil, false
	}
	tail := line[n:]
	if !bytes.HasPrefix(tail, []byte(crcName)) || !bytes.HasSuffix(tail, []byte(crcEnd)) {
		return nil, false
	}
	var want [4]byte
	if _, err := hex.Decode(want[:], tail[len(crcName):len(crcName)+8]); err != nil {
		return nil, false
	}
	if crc32.Checksum(line[:n], castagnoli) != binary.BigEndian.Uint32(want[:]) {
		return nil, false
	}
	line[n] = '}'
	return line[: n+1 : n+1], true
}

// eventIDs are unique: 64 random bits for a Log, 64 that count from a random start.
type eventIDs struct {
	prefix [8]byte
	last   atomic.Uint64
}

func (i *eventIDs) seed() {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	i.prefix = [8]byte(b[:8])
	i.last.Store(binary.BigEndian.Uint64(b[8:]))
}

func (i *eventIDs) next() (id [16]byte) {
	copy(id[:8], i.prefix[:])
	binary.BigEndian.PutUint64(id[8:], i.last.Add(1))
	return id
}
