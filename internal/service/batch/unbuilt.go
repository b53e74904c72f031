package batch

import "drover/internal/wire"

// The operations that drover does not have yet are in the table too: each answers an error
// that names it, and the coverage page lists it as missing.
var _ = wire.Known(ops, "ListJobsByConsumableResource", "GetJobQueueSnapshot")
