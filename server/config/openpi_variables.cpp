#include "server/config/openpi_variables.h"

namespace vlaserve {
namespace {

constexpr std::string_view kNoCompiler =
    "not applicable: nothing is compiled while the server runs, there is no torch.compile";
constexpr std::string_view kNoCudaGraphs = "not applicable: CUDA graphs are not used";
constexpr std::string_view kNoTemperatures =
    "not applicable: attention temperatures (ATM) are not implemented; the attention stays as it "
    "is";
constexpr std::string_view kOtherProject =
    "not applicable: a variable of QuantVLA_GR00T, another model";
constexpr std::string_view kEvaluation =
    "not applicable: a setting of the LIBERO evaluation, not of the server";
constexpr std::string_view kNoBitblas =
    "not applicable: a detail of BitBLAS, which computes nothing here";

constexpr OpenpiVariable kVariables[] = {
    {"OPENPI_DUQUANT_LS",
     "not applicable: lambda smooth has no effect in openpi_duquant either (it scales all column "
     "energies alike)"},
    {"OPENPI_DUQUANT_BACKEND",
     "not applicable: openpi_duquant no longer reads it; quant.engine chooses what computes"},
    {"OPENPI_DUQUANT_*",
     "not applicable: openpi_duquant knows no such variable, though it switches DuQuant on"},
    {"ATM_*", kNoTemperatures},
    {"GR00T_*", kOtherProject},
    {"OPENPI_SMOOTHQUANT_ENABLE",
     "not applicable: openpi_duquant does not read it; the name is SMOOTHQUANT_ENABLE"},
    {"OPENPI_W8A8_ENABLE_TUNING", kNoBitblas},
    {"OPENPI_W8A8_OPT_M", kNoBitblas},
    {"OPENPI_W8A8_DEBUG", kNoBitblas},
    {"OPENPI_W8A8_*", "not applicable: OPENPI_W8A8_ENABLE is not on, or knows no such variable"},
    {"OPENPI_BITBLAS_GROUP_SIZE",
     "not applicable: openpi_duquant ignores it: one scale per row; quant.weight.group sets "
     "groups"},
    {"OPENPI_BITBLAS_DUQUANT_PACKDIR",
     "not applicable: openpi_duquant transforms the weights by these packs and never the "
     "activations, which gives wrong outputs"},
    {"OPENPI_BITBLAS_*", kNoBitblas},
    {"OPENPI_PRINT_LINEAR_SHAPES", "not applicable: `vlaserve layers --table` shows the shapes"},
    {"OPENPI_PROFILE_LINEAR", "not applicable: quant.profile measures the quantized layers"},
    {"OPENPI_DISABLE_TORCH_COMPILE", kNoCompiler},
    {"TORCH_COMPILE_DISABLE", kNoCompiler},
    {"TORCHDYNAMO_DISABLE", kNoCompiler},
    {"TORCH_CUDA_GRAPH_DISABLE", kNoCudaGraphs},
    {"TORCHINDUCTOR_DISABLE_CUDAGRAPHS", kNoCudaGraphs},
    {"PYTORCH_CUDA_ALLOC_CONF", "honoured: LibTorch reads it where there is a CUDA device"},
    {"CUBLAS_WORKSPACE_CONFIG", "honoured: cuBLAS reads it where there is a CUDA device"},
    {"CKPT", "not applicable: the server opens an archive; see policy.archive"},
    {"CONFIG", "not applicable: the archive says which policy it is; see policy.archive"},
    {"TASK_SUITE", kEvaluation},
    {"NUM_TRIALS", kEvaluation},
    {"SEED", kEvaluation},
    {"RESULTS_OUT_PATH", kEvaluation},
    {"VIDEO_OUT_PATH", kEvaluation},
    {"OPENPI_*", "not applicable: no variable that this server knows"},
};

}  // namespace

std::span<const OpenpiVariable> VariablesWithoutOption() { return kVariables; }

}  // namespace vlaserve
