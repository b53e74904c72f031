package manager

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"drover/internal/core/job"
)

// A stored spec is in two parts: what it is likely to have in common with other jobs, as
// JSON, and what is likely to be its own. Millions of jobs have the first part in common
// with a few others; whoever reads them reads it once.
//
//	packedSpec · length and JSON of the common part · id · name · command · environment ·
//	dependencies · stage · token · tags · parameters
//
// The form before was the JSON of the whole Spec; it is still read.
const packedSpec = 2

// commonPart is the JSON of a spec without what is likely to be the job's own. A field of a
// Spec that is not named here is part of it, so that a new one cannot be lost.
func commonPart(s *job.Spec) (string, error) {
	m := *s
	m.ID, m.Name, m.Command, m.Environment, m.Dependencies, m.Stage, m.Token = job.ID{}, "", nil, nil, nil, "", ""
	m.Tags, m.Parameters = nil, nil
	b, err := json.Marshal(&m)
	return string(b), err
}

// appendSpec writes a spec whose common part is given.
func appendSpec(b []byte, s *job.Spec, common string) []byte {
	b = append(b, packedSpec)
	b = binary.AppendUvarint(b, uint64(len(common)))
	b = append(b, common...)
	b = append(b, s.ID[:]...)
	b = appendOwn(b, s, &job.Spec{})
	b = appendPairs(b, s.Tags)
	return appendPairs(b, s.Parameters)
}

func appendPairs(b []byte, m map[string]string) []byte { return appendList(b, pairs(m), nil) }

// specs reads stored specs and keeps the common parts, which the specs that it gives then
// share and nobody may write to. The zero specs keeps nothing.
type specs map[string]common

type common struct {
	text string
	spec *job.Spec
}

// maxCommon bounds what specs keeps.
const maxCommon = 4096

// read gives a spec and its common part.
func (m specs) read(b []byte) (*job.Spec, string, error) {
	if len(b) == 0 || b[0] != packedSpec {
		s := &job.Spec{}
		if err := json.Unmarshal(b, s); err != nil {
			return nil, "", err
		}
		text, err := commonPart(s)
		return s, text, err
	}
	r := reader{b: b[1:]}
	text := r.next(r.uvarint())
	like, ok := m[string(text)]
	if !ok {
		like = common{string(text), &job.Spec{}}
		if err := json.Unmarshal(text, like.spec); err != nil {
			return nil, "", err
		}
		if len(m) >= maxCommon {
			clear(m)
		}
		if m != nil {
			m[like.text] = like
		}
	}
	s := *like.spec
	copy(s.ID[:], r.next(len(s.ID)))
	r.own(&s, &job.Spec{})
	s.Tags, s.Parameters = r.pairs(), r.pairs()
	if r.bad || len(r.b) > 0 {
		return nil, "", fmt.Errorf("its %d bytes are damaged", len(b))
	}
	return &s, like.text, nil
}
