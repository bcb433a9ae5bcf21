from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CameraInfo(_message.Message):
    __slots__ = ["name", "observation_key", "optional", "slot"]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_KEY_FIELD_NUMBER: _ClassVar[int]
    OPTIONAL_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    name: str
    observation_key: str
    optional: bool
    slot: str
    def __init__(self, name: _Optional[str] = ..., slot: _Optional[str] = ..., observation_key: _Optional[str] = ..., optional: bool = ...) -> None: ...

class GetServerInfoRequest(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ["limits", "policy", "quantization", "runtime", "state", "version"]
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    QUANTIZATION_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    STATE_DRAINING: GetServerInfoResponse.State
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATE_LOADING: GetServerInfoResponse.State
    STATE_SERVING: GetServerInfoResponse.State
    STATE_UNSPECIFIED: GetServerInfoResponse.State
    VERSION_FIELD_NUMBER: _ClassVar[int]
    limits: Limits
    policy: PolicyInfo
    quantization: Quantization
    runtime: RuntimeInfo
    state: GetServerInfoResponse.State
    version: str
    def __init__(self, state: _Optional[_Union[GetServerInfoResponse.State, str]] = ..., version: _Optional[str] = ..., policy: _Optional[_Union[PolicyInfo, _Mapping]] = ..., runtime: _Optional[_Union[RuntimeInfo, _Mapping]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., quantization: _Optional[_Union[Quantization, _Mapping]] = ...) -> None: ...

class Image(_message.Message):
    __slots__ = ["data", "encoding", "height", "width"]
    class Encoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = []
    DATA_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    ENCODING_JPEG: Image.Encoding
    ENCODING_PNG: Image.Encoding
    ENCODING_RGB8: Image.Encoding
    ENCODING_UNSPECIFIED: Image.Encoding
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    encoding: Image.Encoding
    height: int
    width: int
    def __init__(self, encoding: _Optional[_Union[Image.Encoding, str]] = ..., data: _Optional[bytes] = ..., height: _Optional[int] = ..., width: _Optional[int] = ...) -> None: ...

class InferRequest(_message.Message):
    __slots__ = ["images", "noise", "num_steps", "prompt", "request_id", "seed", "sequence", "session_id", "state"]
    class ImagesEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Image
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Image, _Mapping]] = ...) -> None: ...
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    NOISE_FIELD_NUMBER: _ClassVar[int]
    NUM_STEPS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    images: _containers.MessageMap[str, Image]
    noise: _containers.RepeatedScalarFieldContainer[float]
    num_steps: int
    prompt: str
    request_id: str
    seed: int
    sequence: int
    session_id: str
    state: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, images: _Optional[_Mapping[str, Image]] = ..., state: _Optional[_Iterable[float]] = ..., prompt: _Optional[str] = ..., seed: _Optional[int] = ..., noise: _Optional[_Iterable[float]] = ..., num_steps: _Optional[int] = ..., session_id: _Optional[str] = ..., sequence: _Optional[int] = ..., request_id: _Optional[str] = ...) -> None: ...

class InferResponse(_message.Message):
    __slots__ = ["action_dim", "actions", "horizon", "prompt_truncated", "request_id", "seed", "sequence", "timings"]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    ACTION_DIM_FIELD_NUMBER: _ClassVar[int]
    HORIZON_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    action_dim: int
    actions: _containers.RepeatedScalarFieldContainer[float]
    horizon: int
    prompt_truncated: bool
    request_id: str
    seed: int
    sequence: int
    timings: Timings
    def __init__(self, actions: _Optional[_Iterable[float]] = ..., horizon: _Optional[int] = ..., action_dim: _Optional[int] = ..., seed: _Optional[int] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., request_id: _Optional[str] = ..., sequence: _Optional[int] = ..., prompt_truncated: bool = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ["max_image_side", "max_message_bytes", "queue_capacity"]
    MAX_IMAGE_SIDE_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    QUEUE_CAPACITY_FIELD_NUMBER: _ClassVar[int]
    max_image_side: int
    max_message_bytes: int
    queue_capacity: int
    def __init__(self, max_message_bytes: _Optional[int] = ..., max_image_side: _Optional[int] = ..., queue_capacity: _Optional[int] = ...) -> None: ...

class PolicyInfo(_message.Message):
    __slots__ = ["action_dim", "archive_sha256", "cameras", "client_json", "default_prompt", "delta_action_mask", "horizon", "image_size", "model_action_dim", "name", "num_steps", "prompt_slots", "state_dim", "state_in_prompt", "type"]
    ACTION_DIM_FIELD_NUMBER: _ClassVar[int]
    ARCHIVE_SHA256_FIELD_NUMBER: _ClassVar[int]
    CAMERAS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_JSON_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_PROMPT_FIELD_NUMBER: _ClassVar[int]
    DELTA_ACTION_MASK_FIELD_NUMBER: _ClassVar[int]
    HORIZON_FIELD_NUMBER: _ClassVar[int]
    IMAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    MODEL_ACTION_DIM_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    NUM_STEPS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_SLOTS_FIELD_NUMBER: _ClassVar[int]
    STATE_DIM_FIELD_NUMBER: _ClassVar[int]
    STATE_IN_PROMPT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    action_dim: int
    archive_sha256: str
    cameras: _containers.RepeatedCompositeFieldContainer[CameraInfo]
    client_json: str
    default_prompt: str
    delta_action_mask: _containers.RepeatedScalarFieldContainer[bool]
    horizon: int
    image_size: int
    model_action_dim: int
    name: str
    num_steps: int
    prompt_slots: int
    state_dim: int
    state_in_prompt: bool
    type: str
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., archive_sha256: _Optional[str] = ..., cameras: _Optional[_Iterable[_Union[CameraInfo, _Mapping]]] = ..., state_dim: _Optional[int] = ..., horizon: _Optional[int] = ..., action_dim: _Optional[int] = ..., model_action_dim: _Optional[int] = ..., num_steps: _Optional[int] = ..., image_size: _Optional[int] = ..., prompt_slots: _Optional[int] = ..., default_prompt: _Optional[str] = ..., delta_action_mask: _Optional[_Iterable[bool]] = ..., state_in_prompt: bool = ..., client_json: _Optional[str] = ...) -> None: ...

class Quantization(_message.Message):
    __slots__ = ["engine", "groups", "kernel", "linears", "preset", "quantized_linears", "resident_anonymous_bytes", "resident_file_bytes", "weight_bytes_after", "weight_bytes_before"]
    class Group(_message.Message):
        __slots__ = ["activation_bits", "linears", "name", "weight_bits"]
        ACTIVATION_BITS_FIELD_NUMBER: _ClassVar[int]
        LINEARS_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        WEIGHT_BITS_FIELD_NUMBER: _ClassVar[int]
        activation_bits: int
        linears: int
        name: str
        weight_bits: int
        def __init__(self, name: _Optional[str] = ..., linears: _Optional[int] = ..., weight_bits: _Optional[int] = ..., activation_bits: _Optional[int] = ...) -> None: ...
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    LINEARS_FIELD_NUMBER: _ClassVar[int]
    PRESET_FIELD_NUMBER: _ClassVar[int]
    QUANTIZED_LINEARS_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_ANONYMOUS_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_FILE_BYTES_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_BYTES_AFTER_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_BYTES_BEFORE_FIELD_NUMBER: _ClassVar[int]
    engine: str
    groups: _containers.RepeatedCompositeFieldContainer[Quantization.Group]
    kernel: str
    linears: int
    preset: str
    quantized_linears: int
    resident_anonymous_bytes: int
    resident_file_bytes: int
    weight_bytes_after: int
    weight_bytes_before: int
    def __init__(self, engine: _Optional[str] = ..., preset: _Optional[str] = ..., kernel: _Optional[str] = ..., quantized_linears: _Optional[int] = ..., linears: _Optional[int] = ..., groups: _Optional[_Iterable[_Union[Quantization.Group, _Mapping]]] = ..., weight_bytes_before: _Optional[int] = ..., weight_bytes_after: _Optional[int] = ..., resident_anonymous_bytes: _Optional[int] = ..., resident_file_bytes: _Optional[int] = ...) -> None: ...

class RuntimeInfo(_message.Message):
    __slots__ = ["compute_dtype", "device", "threads"]
    COMPUTE_DTYPE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    compute_dtype: str
    device: str
    threads: int
    def __init__(self, device: _Optional[str] = ..., compute_dtype: _Optional[str] = ..., threads: _Optional[int] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ["denoise_ms", "postprocess_ms", "prefix_ms", "preprocess_ms", "queue_ms", "total_ms"]
    DENOISE_MS_FIELD_NUMBER: _ClassVar[int]
    POSTPROCESS_MS_FIELD_NUMBER: _ClassVar[int]
    PREFIX_MS_FIELD_NUMBER: _ClassVar[int]
    PREPROCESS_MS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_MS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_MS_FIELD_NUMBER: _ClassVar[int]
    denoise_ms: float
    postprocess_ms: float
    prefix_ms: float
    preprocess_ms: float
    queue_ms: float
    total_ms: float
    def __init__(self, queue_ms: _Optional[float] = ..., preprocess_ms: _Optional[float] = ..., prefix_ms: _Optional[float] = ..., denoise_ms: _Optional[float] = ..., postprocess_ms: _Optional[float] = ..., total_ms: _Optional[float] = ...) -> None: ...
