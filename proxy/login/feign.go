package login

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"

	"weir/config"
	"weir/proxy/scram"
)

// feigner says how users that do not exist look to strangers. One rule holds for all that they are shown before they have proved
// anything: a name that no user has is asked as one of the users that exist is, the method, the iterations and the length of its salt
// included. Which user that is, and the salt, come from the name and a secret; so they are the same each time, after a restart and
// on another weir with the same secret.
type feigner struct {
	secret func() []byte // costs time when it is first called
	ready  atomic.Bool   // it does not any more
	shapes []weighted

	iterations int // for passwords that are stored in clear text
}

// shape is what the first questions show of a user.
type shape struct {
	md5        bool // asked for md5 where the method is that
	iterations int  // of SCRAM
	saltLen    int  // of SCRAM, in bytes
}

// weighted is a shape and how many users have it.
type weighted struct {
	shape
	users int
}

// usualShape is that of a user whose password is stored in clear text.
func usualShape(iterations int) shape { return shape{iterations: iterations, saltLen: scram.SaltLen} }

// newFeigner takes a secret, nil for one of its own, and what is stored for the users that exist.
func newFeigner(secret []byte, iterations int, known []config.Secret) *feigner {
	shapes := shapesOf(iterations, known)
	if secret == nil {
		secret = make([]byte, sha256.Size)
		_, _ = rand.Read(secret) // never fails: crypto/rand, from Go 1.24
		return &feigner{secret: func() []byte { return secret }, shapes: shapes, iterations: iterations}
	}
	return &feigner{secret: sync.OnceValue(func() []byte { return stretch(secret) }), shapes: shapes, iterations: iterations}
}

// prepare has the secret at hand afterwards. It is called for users that exist and for others: else the first ones would be told apart.
func (f *feigner) prepare(apart func(func())) {
	if !f.ready.Load() {
		apart(func() {
			f.secret()
			f.ready.Store(true)
		})
	}
}

func stretch(secret []byte) []byte {
	key, err := pbkdf2.Key(sha256.New, string(secret), []byte("weir salts"), stretching, sha256.Size)
	if err != nil {
		panic("login: pbkdf2: " + err.Error()) // fails for a key length or, in FIPS mode, a salt that we never ask for
	}
	return key
}

func shapesOf(iterations int, known []config.Secret) []weighted {
	var all []weighted
	index := map[shape]int{}
	for _, secret := range known {
		s := usualShape(iterations)
		switch stored := parseStored(secret.Reveal()); stored.form {
		case formClear, formMD5:
			s.md5 = true
		case formSCRAM:
			s.iterations, s.saltLen = stored.verifier.Iterations, len(stored.verifier.Salt)
		case formNone:
			continue
		}
		i, ok := index[s]
		if !ok {
			i = len(all)
			index[s] = i
			all = append(all, weighted{shape: s})
		}
		all[i].users++
	}
	return all
}

// shape is that of a user who does not exist, or cannot pass. Each shape is as frequent among such names as among the users that exist,
// and if some users come or go, only as many names change theirs (weighted rendezvous hashing).
func (f *feigner) shape(user string) shape {
	switch len(f.shapes) {
	case 0:
		return usualShape(f.iterations)
	case 1:
		return f.shapes[0].shape
	}
	best, least := usualShape(f.iterations), math.Inf(1)
	for _, w := range f.shapes {
		id := binary.BigEndian.AppendUint64([]byte{0}, uint64(w.iterations)<<32|uint64(w.saltLen))
		if w.md5 {
			id[0] = 1
		}
		drawn := binary.BigEndian.Uint64(scram.MAC(f.secret(), "shape\x00", string(id), user))
		if score := -math.Log((float64(drawn>>11)+0.5)/(1<<53)) / float64(w.users); score < least {
			best, least = w.shape, score
		}
	}
	return best
}

// salt is that of a user who does not exist, or whose verifier weir makes itself.
func (f *feigner) salt(user string, length int) []byte {
	salt := scram.MAC(f.secret(), "salt\x00", user)
	for i := 0; len(salt) < length; i++ {
		salt = append(salt, scram.MAC(f.secret(), "more salt\x00", string(rune(i)), user)...)
	}
	return salt[:length]
}

// feigned is the verifier of a user that has none: well-formed, and matched by no known password.
func (f *feigner) feigned(user string) scram.Verifier {
	s := f.shape(user)
	v := scram.Verifier{Salt: f.salt(user, s.saltLen), Iterations: s.iterations}
	copy(v.StoredKey[:], scram.MAC(f.secret(), "stored key\x00", user))
	copy(v.ServerKey[:], scram.MAC(f.secret(), "server key\x00", user))
	return v
}
