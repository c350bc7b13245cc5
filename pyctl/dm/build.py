"""Builds `pyctl.dm._libdm`, the API-mode binding to libdevmapper.

setup.py runs this file by its path, before pyctl can be imported: it must import nothing of pyctl.
The C compiler checks every declaration below against <libdevmapper.h>.
"""

from cffi import FFI

ffibuilder = FFI()

ffibuilder.cdef("""
enum {
    DM_DEVICE_CREATE, DM_DEVICE_RELOAD, DM_DEVICE_REMOVE, DM_DEVICE_SUSPEND, DM_DEVICE_RESUME,
    DM_DEVICE_INFO, DM_DEVICE_DEPS, DM_DEVICE_VERSION, DM_DEVICE_STATUS, DM_DEVICE_TABLE,
    DM_DEVICE_WAITEVENT, DM_DEVICE_LIST, DM_DEVICE_CLEAR, DM_DEVICE_LIST_VERSIONS,
    DM_DEVICE_TARGET_MSG, ...
};

struct dm_task;

struct dm_info {
    int exists;
    int suspended;
    int live_table;
    int inactive_table;
    int32_t open_count;
    uint32_t event_nr;
    uint32_t major;
    uint32_t minor;
    int read_only;
    int32_t target_count;
    int deferred_remove;
    ...;
};
struct dm_deps { uint32_t count; uint64_t device[]; ...; };
struct dm_names { uint64_t dev; uint32_t next; char name[]; ...; };
struct dm_versions { uint32_t next; uint32_t version[3]; char name[]; ...; };

struct dm_task *dm_task_create(int type);
void dm_task_destroy(struct dm_task *dmt);
int dm_task_run(struct dm_task *dmt);
int dm_task_get_errno(struct dm_task *dmt);

int dm_task_set_name(struct dm_task *dmt, const char *name);
int dm_task_set_uuid(struct dm_task *dmt, const char *uuid);
int dm_task_add_target(struct dm_task *dmt, uint64_t start, uint64_t size, const char *ttype,
                       const char *params);
int dm_task_set_message(struct dm_task *dmt, const char *message);
int dm_task_set_sector(struct dm_task *dmt, uint64_t sector);
int dm_task_set_event_nr(struct dm_task *dmt, uint32_t event_nr);
int dm_task_set_cookie(struct dm_task *dmt, uint32_t *cookie, uint16_t flags);
int dm_task_no_flush(struct dm_task *dmt);
int dm_task_skip_lockfs(struct dm_task *dmt);
int dm_task_retry_remove(struct dm_task *dmt);
int dm_task_deferred_remove(struct dm_task *dmt);

int dm_task_get_info(struct dm_task *dmt, struct dm_info *dmi);
const char *dm_task_get_uuid(const struct dm_task *dmt);
const char *dm_task_get_name(const struct dm_task *dmt);
struct dm_deps *dm_task_get_deps(struct dm_task *dmt);
struct dm_names *dm_task_get_names(struct dm_task *dmt);
struct dm_versions *dm_task_get_versions(struct dm_task *dmt);
const char *dm_task_get_message_response(struct dm_task *dmt);
void *dm_get_next_target(struct dm_task *dmt, void *next, uint64_t *start, uint64_t *length,
                         char **target_type, char **params);

int dm_udev_wait(uint32_t cookie);
void dm_udev_set_sync_support(int sync_with_udev);
int dm_udev_get_sync_support(void);
void dm_task_update_nodes(void);
int dm_get_library_version(char *version, size_t size);

void pyctl_dm_log_init(void);
const char *pyctl_dm_log_text(void);
int pyctl_dm_log_errno(void);
void pyctl_dm_log_clear(void);
""")

ffibuilder.set_source(
    "pyctl.dm._libdm",
    """
    #include <libdevmapper.h>
    #include "dmlog.h"
    """,
    sources=["pyctl/dm/dmlog.c"],
    include_dirs=["pyctl/dm"],
    libraries=["devmapper"],
    extra_compile_args=["-std=gnu11", "-Wall", "-Wextra", "-O2"],
)
