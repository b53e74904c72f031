package batch

import (
	"context"
	"encoding/json"
	"sync"

	"drover/internal/core/fault"
	"drover/internal/core/job"
	"drover/internal/manager"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// maxPrepared bounds the catalog; a client that registers a definition for each job makes
// it start afresh now and then.
const maxPrepared = 4096

// prepared is a definition made ready for submissions.
type prepared struct {
	def       job.Definition
	container types.ContainerProperties // as registered
	ecs       *types.EcsTaskProperties  // as registered, where there are several containers
	eks       *types.EksPodProperties   // as registered, where it is for Kubernetes
	nodes     *types.NodeProperties     // as registered, of a multi-node parallel definition
	asked     *job.Container            // what the container is to be like; shared by all its jobs
	platforms []types.PlatformCapability
	detail    json.RawMessage // what a job that overrides no resource keeps of it
}

type definitionKey struct {
	name     string
	revision int32 // 0 = the latest active one
}

// catalog keeps what submissions read of definitions and queues, so that a submission
// costs the manager nothing but the submission. Whoever changes a record through this
// service makes the catalog forget it; the manager checks the queue again anyway.
//
// A record read before a change must not be kept after it: age counts the changes, and
// what was read under an older age is used once and not kept. That this process alone
// changes records is the manager's promise: a server that another one has replaced cannot
// write, and ends within a second (store.DB.Fence).
type catalog struct {
	m manager.Service

	mu          sync.RWMutex
	age         uint64
	definitions map[definitionKey]*prepared
	queues      map[string]job.Queue
}

func newCatalog(m manager.Service) *catalog {
	return &catalog{m: m, definitions: map[definitionKey]*prepared{}, queues: map[string]job.Queue{}}
}

// definition gives a definition; a fault.NotFound if it does not exist or, for revision 0,
// if no revision is active.
func (c *catalog) definition(ctx context.Context, name string, revision int32) (*prepared, error) {
	key := definitionKey{name, revision}
	c.mu.RLock()
	p, age := c.definitions[key], c.age
	c.mu.RUnlock()
	if p != nil {
		return p, nil
	}
	d, err := c.m.Definition(ctx, name, revision)
	if err != nil {
		return nil, err
	}
	if p, err = prepare(d); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.age == age {
		if len(c.definitions) >= maxPrepared {
			clear(c.definitions)
		}
		c.definitions[key] = p
	}
	return p, nil
}

func prepare(d job.Definition) (*prepared, error) {
	var in batch.RegisterJobDefinitionInput
	if err := restore(d.Detail, &in); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "ServerException", "the record of job definition %s cannot be read", job.Revision(d.Name, d.Revision))
	}
	p := &prepared{def: d, platforms: in.PlatformCapabilities}
	if in.ContainerProperties != nil {
		p.container = *in.ContainerProperties
		p.asked = asked(&p.container)
	}
	switch {
	case in.EcsProperties != nil:
		p.ecs = &in.EcsProperties.TaskProperties[0]
		p.container = taskAsContainer(p.ecs)
		p.asked = askedOfTask(p.ecs)
	case in.EksProperties != nil:
		p.eks = in.EksProperties.PodProperties
	case in.NodeProperties != nil:
		p.nodes = in.NodeProperties
		p.detail = compact(&jobDetail{Nodes: p.nodes, Platforms: p.platforms})
		return p, nil
	}
	p.detail = keepDetail(p, &p.container, p.ecs)
	return p, nil
}

// forgetDefinition is called after a revision changed or, with 0, after one was added.
func (c *catalog) forgetDefinition(name string, revision int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.age++
	delete(c.definitions, definitionKey{name, revision})
	delete(c.definitions, definitionKey{name, 0})
}

// queue gives a queue; ok is false if there is none of that name.
func (c *catalog) queue(ctx context.Context, name string) (q job.Queue, ok bool, err error) {
	c.mu.RLock()
	q, ok = c.queues[name]
	age := c.age
	c.mu.RUnlock()
	if ok {
		return q, true, nil
	}
	all, err := c.m.Queues(ctx)
	if err != nil {
		return q, false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range all {
		if c.age == age {
			c.queues[one.Name] = one
		}
		if one.Name == name {
			q, ok = one, true
		}
	}
	return q, ok, nil
}

// forgetQueues is called after any queue changed.
func (c *catalog) forgetQueues() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.age++
	clear(c.queues)
}
